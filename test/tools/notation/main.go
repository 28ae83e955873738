// Signs and verifies manifests of a plain-HTTP registry with notation-go, as the command `notation` does:
//
//	notation init FOLDER
//	notation sign FOLDER HOST/REPOSITORY@DIGEST
//	notation verify FOLDER HOST/REPOSITORY@DIGEST
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/registry"
	"github.com/notaryproject/notation-go/signer"
	"github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"
	"oras.land/oras-go/v2/registry/remote"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 2 && arguments[0] == "init" {
		return makeKey(arguments[1])
	}
	if len(arguments) != 3 {
		return errors.New("usage: notation init FOLDER | sign FOLDER REFERENCE | verify FOLDER REFERENCE")
	}
	folder, reference := arguments[1], arguments[2]
	repository, err := remote.NewRepository(reference)
	if err != nil {
		return err
	}
	repository.PlainHTTP = true
	switch arguments[0] {
	case "sign":
		return sign(folder, reference, registry.NewRepository(repository))
	case "verify":
		return verify(folder, reference, registry.NewRepository(repository))
	}
	return fmt.Errorf("unknown command %q", arguments[0])
}

func keyFile(folder string) string         { return filepath.Join(folder, "notation.key") }
func certificateFile(folder string) string { return filepath.Join(folder, "notation.crt") }

// A self-signed certificate of the kind that notation takes: for code signing, and no authority.
func makeKey(folder string) error {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		return err
	}
	subject := pkix.Name{CommonName: "image-swapper test", Organization: []string{"image-swapper"}, Country: []string{"DE"}, Province: []string{"BE"}}
	template := x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               subject,
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(keyFile(folder), "PRIVATE KEY", private); err != nil {
		return err
	}
	return writePEM(certificateFile(folder), "CERTIFICATE", certificate)
}

func writePEM(file, kind string, bytes []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600)
}

func sign(folder, reference string, repository registry.Repository) error {
	local, err := signer.NewGenericSignerFromFiles(keyFile(folder), certificateFile(folder))
	if err != nil {
		return err
	}
	options := notation.SignOptions{
		SignerSignOptions: notation.SignerSignOptions{SignatureMediaType: jws.MediaTypeEnvelope},
		ArtifactReference: reference,
	}
	_, err = notation.Sign(context.Background(), local, repository, options)
	return err
}

func verify(folder, reference string, repository registry.Repository) error {
	text, err := os.ReadFile(certificateFile(folder))
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return errors.New("the certificate is not PEM")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	policy := trustpolicy.Document{Version: "1.0", TrustPolicies: []trustpolicy.TrustPolicy{{
		Name:                  "all",
		RegistryScopes:        []string{"*"},
		SignatureVerification: trustpolicy.SignatureVerification{VerificationLevel: trustpolicy.LevelStrict.Name},
		TrustStores:           []string{"ca:test"},
		TrustedIdentities:     []string{"*"},
	}}}
	checker, err := verifier.New(&policy, trustOne{certificate}, nil)
	if err != nil {
		return err
	}
	options := notation.VerifyOptions{ArtifactReference: reference, MaxSignatureAttempts: 10}
	_, _, err = notation.Verify(context.Background(), checker, repository, options)
	return err
}

type trustOne struct{ certificate *x509.Certificate }

func (trust trustOne) GetCertificates(context.Context, truststore.Type, string) ([]*x509.Certificate, error) {
	return []*x509.Certificate{trust.certificate}, nil
}
