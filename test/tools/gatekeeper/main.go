// Asks Gatekeeper's own matcher: reads a JSON list of {"match", "pod"} and writes a list of booleans, or null where the
// match itself is not one.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/match"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/types"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	Match match.Match    `json:"match"`
	Pod   map[string]any `json:"pod"`
}

func main() {
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		fail(err)
	}
	answers := make([]*bool, 0, len(questions))
	for _, asked := range questions {
		pod := &unstructured.Unstructured{Object: asked.Pod}
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: pod.GetNamespace()}}
		target := &match.Matchable{Object: pod, Namespace: namespace, Source: types.SourceTypeOriginal}
		matches, err := match.Matches(&asked.Match, target)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			answers = append(answers, nil)
			continue
		}
		answers = append(answers, &matches)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
