/**
 * Where objects of other projects hold the images of their Pods, in addition to `spec.template` and its like, which any kind may
 * have. Paths are keys separated by dots; `[]` stands for each item of a list, and `*` for each value of a mapping.
 */
export interface PodKind {
  /** The API group of the kinds. */
  readonly group: string;
  readonly kinds: readonly string[];
  /** Paths of Pod templates: mappings with a PodSpec under `spec`. */
  readonly templates?: readonly string[];
  /** Paths of PodSpecs. */
  readonly specs?: readonly string[];
  /** Paths of lists of containers, or of mappings with an `image`. */
  readonly containers?: readonly string[];
  /** Paths of whole objects, which are searched in turn. */
  readonly objects?: readonly string[];
  /** The project fills in parameters such as `{{inputs.parameters.image}}` before it creates Pods. */
  readonly hasParameters?: boolean;
}

const below = (prefixes: readonly string[], paths: readonly string[]): readonly string[] =>
  prefixes.flatMap((prefix) => paths.map((path) => `${prefix}.${path}`));

/** Argo Workflows: the templates of a WorkflowSpec, those inside steps and tasks included. */
function argoContainers(spec: string): readonly string[] {
  const templates = [
    'templates[]',
    'templateDefaults',
    'templates[].steps[][].inline',
    'templates[].dag.tasks[].inline',
  ];
  const containers = ['container', 'script', 'initContainers', 'sidecars', 'containerSet.containers'];
  return below(below([spec], templates), containers);
}

const TEKTON_TASK = ['steps', 'sidecars', 'stepTemplate'];
const TEKTON_PIPELINE = below(['tasks[].taskSpec', 'finally[].taskSpec'], TEKTON_TASK);

const RAY_CLUSTER = ['headGroupSpec.template', 'workerGroupSpecs[].template'];

const SPARK_ROLES = ['driver', 'executor'];
const SPARK_TEMPLATES = below(SPARK_ROLES, ['template']);
const SPARK_CONTAINERS = [...SPARK_ROLES, ...below(SPARK_ROLES, ['sidecars', 'initContainers'])];

const KSERVE_PARTS = ['spec.predictor', 'spec.transformer', 'spec.explainer'];
const KSERVE_MODELS = [
  ...['model', 'sklearn', 'xgboost', 'tensorflow', 'pytorch', 'triton', 'onnx', 'pmml', 'lightgbm', 'paddle'],
  ...['huggingface', 'art', 'alibi'],
];

const JOB_SET = 'spec.replicatedJobs[].template.spec.template';

export const POD_KINDS: readonly PodKind[] = [
  {
    group: 'argoproj.io',
    kinds: ['Workflow', 'WorkflowTemplate', 'ClusterWorkflowTemplate'],
    containers: argoContainers('spec'),
    hasParameters: true,
  },
  {
    group: 'argoproj.io',
    kinds: ['CronWorkflow'],
    containers: argoContainers('spec.workflowSpec'),
    hasParameters: true,
  },
  {
    group: 'argoproj.io',
    kinds: ['AnalysisTemplate', 'ClusterAnalysisTemplate', 'AnalysisRun'],
    templates: ['spec.metrics[].provider.job.spec.template'],
    hasParameters: true,
  },
  { group: 'argoproj.io', kinds: ['Experiment'], templates: ['spec.templates[].template'] },
  {
    group: 'tekton.dev',
    kinds: ['Task', 'ClusterTask'],
    containers: below(['spec'], TEKTON_TASK),
    hasParameters: true,
  },
  { group: 'tekton.dev', kinds: ['TaskRun'], containers: below(['spec.taskSpec'], TEKTON_TASK), hasParameters: true },
  { group: 'tekton.dev', kinds: ['Pipeline'], containers: below(['spec'], TEKTON_PIPELINE), hasParameters: true },
  {
    group: 'tekton.dev',
    kinds: ['PipelineRun'],
    containers: below(['spec.pipelineSpec'], TEKTON_PIPELINE),
    hasParameters: true,
  },
  { group: 'tekton.dev', kinds: ['StepAction'], containers: ['spec'], hasParameters: true },
  { group: 'triggers.tekton.dev', kinds: ['TriggerTemplate'], objects: ['spec.resourcetemplates[]'] },
  { group: 'jobset.x-k8s.io', kinds: ['JobSet'], templates: [JOB_SET] },
  {
    group: 'leaderworkerset.x-k8s.io',
    kinds: ['LeaderWorkerSet'],
    templates: below(['spec.leaderWorkerTemplate'], ['leaderTemplate', 'workerTemplate']),
  },
  { group: 'workload.codeflare.dev', kinds: ['AppWrapper'], objects: ['spec.components[].template'] },
  { group: 'serving.knative.dev', kinds: ['Revision'], specs: ['spec'] },
  {
    group: 'apps.kruise.io',
    kinds: ['AdvancedCronJob'],
    templates: below(['spec.template.jobTemplate', 'spec.template.broadcastJobTemplate'], ['spec.template']),
  },
  { group: 'apps.kruise.io', kinds: ['UnitedDeployment'], templates: ['spec.template.*.spec.template'] },
  { group: 'apps.kruise.io', kinds: ['SidecarSet'], specs: ['spec'] },
  {
    group: 'serving.kserve.io',
    kinds: ['InferenceService'],
    specs: [...KSERVE_PARTS, 'spec.predictor.workerSpec'],
    containers: below(KSERVE_PARTS, KSERVE_MODELS),
  },
  {
    group: 'serving.kserve.io',
    kinds: ['ServingRuntime', 'ClusterServingRuntime'],
    specs: ['spec', 'spec.workerSpec'],
  },
  {
    group: 'serving.kserve.io',
    kinds: ['LLMInferenceService', 'LLMInferenceServiceConfig'],
    specs: ['spec.template', 'spec.worker', 'spec.prefill.template', 'spec.prefill.worker'],
  },
  {
    group: 'sparkoperator.k8s.io',
    kinds: ['SparkApplication'],
    templates: below(['spec'], SPARK_TEMPLATES),
    containers: ['spec', ...below(['spec'], SPARK_CONTAINERS)],
  },
  {
    group: 'sparkoperator.k8s.io',
    kinds: ['ScheduledSparkApplication'],
    templates: below(['spec.template'], SPARK_TEMPLATES),
    containers: ['spec.template', ...below(['spec.template'], SPARK_CONTAINERS)],
  },
  { group: 'ray.io', kinds: ['RayCluster'], templates: below(['spec'], RAY_CLUSTER) },
  {
    group: 'ray.io',
    kinds: ['RayJob'],
    templates: ['spec.submitterPodTemplate', ...below(['spec.rayClusterSpec'], RAY_CLUSTER)],
  },
  { group: 'ray.io', kinds: ['RayService'], templates: below(['spec.rayClusterConfig'], RAY_CLUSTER) },
  {
    group: 'kubeflow.org',
    kinds: ['TFJob', 'PyTorchJob', 'MPIJob', 'XGBoostJob', 'PaddleJob', 'MXJob', 'JAXJob'],
    // `tfReplicaSpecs.Worker.template`, `mpiReplicaSpecs.Launcher.template` and so on.
    templates: ['spec.*.*.template'],
  },
  { group: 'kubeflow.org', kinds: ['Experiment'], objects: ['spec.trialTemplate.trialSpec'], hasParameters: true },
  {
    group: 'trainer.kubeflow.org',
    kinds: ['TrainJob'],
    containers: ['spec.trainer', 'spec.initializer.dataset', 'spec.initializer.model'],
  },
  {
    group: 'trainer.kubeflow.org',
    kinds: ['TrainingRuntime', 'ClusterTrainingRuntime'],
    templates: [`spec.template.${JOB_SET}`],
  },
  { group: 'batch.volcano.sh', kinds: ['Job'], templates: ['spec.tasks[].template'] },
  { group: 'batch.volcano.sh', kinds: ['CronJob'], templates: ['spec.jobTemplate.spec.tasks[].template'] },
  { group: 'keda.sh', kinds: ['ScaledJob'], templates: ['spec.jobTargetRef.template'] },
  { group: 'agones.dev', kinds: ['Fleet', 'GameServerSet'], templates: ['spec.template.spec.template'] },
  {
    group: 'flink.apache.org',
    kinds: ['FlinkDeployment'],
    templates: ['spec.podTemplate', 'spec.jobManager.podTemplate', 'spec.taskManager.podTemplate'],
    containers: ['spec'],
  },
  { group: 'template.openshift.io', kinds: ['Template'], objects: ['objects[]'], hasParameters: true },
];
