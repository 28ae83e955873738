// Command kubelet-keyring looks up credentials as the kubelet does, for comparison with our keyring.
//
// It reads one JSON object a line, {"secrets": [{"auths": {KEY: {"username", "password"}}}], "image": string}, the Secrets
// in the order of a Pod's imagePullSecrets and the image as the Pod names it, and
// writes one a line: the user names of the credentials in the order in which the kubelet tries them.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/credentialprovider"
	"k8s.io/kubernetes/pkg/credentialprovider/secrets"
	"k8s.io/kubernetes/pkg/util/parsers"
)

type question struct {
	Secrets []json.RawMessage `json:"secrets"`
	Image   string            `json:"image"`
}

func main() {
	decoder := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20))
	output := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(output)
	for decoder.More() {
		var asked question
		if err := decoder.Decode(&asked); err != nil {
			log.Fatalf("reading a question: %v", err)
		}
		if err := encoder.Encode(answer(asked)); err != nil {
			log.Fatalf("writing an answer: %v", err)
		}
	}
	if err := output.Flush(); err != nil {
		log.Fatalf("writing answers: %v", err)
	}
}

func answer(asked question) []string {
	pullSecrets := []v1.Secret{}
	for _, document := range asked.Secrets {
		pullSecrets = append(pullSecrets, v1.Secret{
			Type: v1.SecretTypeDockerConfigJson,
			Data: map[string][]byte{v1.DockerConfigJsonKey: document},
		})
	}
	keyring, err := secrets.MakeDockerKeyring(pullSecrets, &credentialprovider.BasicDockerKeyring{})
	if err != nil {
		log.Fatalf("making the keyring: %v", err)
	}
	repository, _, _, err := parsers.ParseImageName(asked.Image)
	if err != nil {
		log.Fatalf("parsing %s: %v", asked.Image, err)
	}
	found, _ := keyring.Lookup(repository)
	users := []string{}
	for _, credentials := range found {
		users = append(users, credentials.Username)
	}
	return users
}
