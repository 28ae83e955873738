// Reads one JSON string per line and writes one JSON object per line: what github.com/distribution/reference makes of
// it as an image reference, or, with -platforms, what containerd makes of "os/architecture[/variant]".
package main

import (
	"bufio"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
)

type answer struct {
	Domain   string `json:"domain,omitempty"`
	Path     string `json:"path,omitempty"`
	Tag      string `json:"tag,omitempty"`
	Digest   string `json:"digest,omitempty"`
	Platform string `json:"platform,omitempty"`
	Error    string `json:"error,omitempty"`
}

func main() {
	asPlatforms := flag.Bool("platforms", false, "read platforms instead of references")
	flag.Parse()
	if err := run(*asPlatforms); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(asPlatforms bool) error {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	read := readReference
	if asPlatforms {
		read = readPlatform
	}
	for in.Scan() {
		var text string
		if err := json.Unmarshal(in.Bytes(), &text); err != nil {
			return err
		}
		if err := encoder.Encode(read(text)); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	return out.Flush()
}

func readReference(text string) answer {
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return answer{Error: err.Error()}
	}
	named = reference.TagNameOnly(named)
	result := answer{Domain: reference.Domain(named), Path: reference.Path(named)}
	if tagged, ok := named.(reference.Tagged); ok {
		result.Tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		result.Digest = digested.Digest().String()
	}
	return result
}

func readPlatform(text string) answer {
	platform, err := platforms.Parse(text)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Platform: platforms.Format(platforms.Normalize(platform))}
}
