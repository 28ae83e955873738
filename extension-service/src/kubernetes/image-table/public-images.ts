import type { MirrorJob } from '../../core/decide/mirror-job.js';
import type { SourceAccess } from '../../core/decide/source-access.js';
import { sleep } from '../../util/sleep.js';
import type { MirroredImages } from './mirrored-images.js';

export interface PublicImagesOptions {
  readonly images: Pick<MirroredImages, 'present' | 'missing' | 'keep'>;
  /** Whether an image of this digest can be read at its source; never rejects. */
  readonly ask: (job: MirrorJob, digest: string, milliseconds: number) => Promise<SourceAccess>;
  readonly signal: AbortSignal;
  /** Milliseconds before a question without an answer is asked again. @default 30000 */
  readonly retry?: number;
}

/** Maximum parallel questions: fewer than the access checks allow for one host. */
const MAX_ACCESS_CHECKS = 16;
const ACCESS_CHECK_TIMEOUT_MS = 30_000;
const RETRY_MS = 30_000;
/** Maximum questions in a row without an answer. The next lookup in the target asks again, if something uses the image. */
const MAX_TRIES = 20;

interface Question {
  readonly job: MirrorJob;
  readonly digest: string;
  readonly tries: number;
}

/**
 * Lets only those images into the table that every Pod may read (`source.accessCheck`): the API server knows no pull secrets.
 * An image whose source refuses it leaves the table. While the source gives no answer, the table stays as it is.
 */
export class PublicImages {
  /** The open questions, by name in the target. The answer to a question that was removed has no effect. */
  private readonly open = new Map<string, Question>();
  private readonly waiting = new Set<Question>();
  private asking = 0;

  constructor(private readonly options: PublicImagesOptions) {}

  /** The target has the image, with this digest. */
  present(job: MirrorJob, digest: string): void {
    const { text } = job.reference;
    if (this.open.get(text)?.digest === digest) return;
    const { pull, ...everybody } = job;
    // Drops the Pod, so that no pull secrets are tried.
    void pull;
    this.put({ job: everybody, digest, tries: 1 });
  }

  /** The target does not have the image, or is about to lose it. */
  missing(image: { readonly reference: Pick<MirrorJob['reference'], 'text'> }): void {
    const { text } = image.reference;
    const question = this.open.get(text);
    if (question !== undefined) this.waiting.delete(question);
    this.open.delete(text);
  }

  private put(question: Question): void {
    this.missing(question.job);
    this.open.set(question.job.reference.text, question);
    this.waiting.add(question);
    this.next();
  }

  private next(): void {
    for (const question of this.waiting) {
      if (this.asking >= MAX_ACCESS_CHECKS || this.options.signal.aborted) return;
      this.waiting.delete(question);
      this.asking += 1;
      void this.decide(question).finally(() => {
        this.asking -= 1;
        this.next();
      });
    }
  }

  private async decide(question: Question): Promise<void> {
    const { images, ask, signal, retry = RETRY_MS } = this.options;
    const { job, digest, tries } = question;
    const { text } = job.reference;
    const isOpen = (): boolean => !signal.aborted && this.open.get(text) === question;
    const { state } = await ask(job, digest, ACCESS_CHECK_TIMEOUT_MS);
    if (!isOpen()) return;
    if (state === 'unknown') {
      images.keep(job);
      if (tries >= MAX_TRIES) {
        this.open.delete(text);
        return;
      }
      void sleep(retry, signal, { ref: false }).then(() => {
        if (isOpen()) this.put({ ...question, tries: tries + 1 });
      });
      return;
    }
    this.open.delete(text);
    if (state === 'granted') images.present(job);
    else images.missing(job);
  }
}
