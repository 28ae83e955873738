#!/usr/bin/env bash
# go-jmespath 0.4.0: a projection of an object's values begins with one extra element per value.
#
# The specification evaluates the right side of `*` once for each value of the object and drops nulls. go-jmespath prepares its
# list of values with as many nulls as there are values, and appends the values. The nulls are invisible until the right side
# turns null into something else: `labels.*.not_null(@, 'none')` then has twice as many elements. jmespath 0.16.0 (npm) has
# one element per value.
#
# Seen on 2026-11-30: "labels.*: 2 elements, labels.*.not_null(@, 'none'): 4 elements, 2 of them none"
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"fmt"

	"github.com/jmespath/go-jmespath"
)

func values(expression string) []any {
	document := map[string]any{"labels": map[string]any{"app": "web", "tier": "front"}}
	value, err := jmespath.Search(expression, document)
	if err != nil {
		panic(err)
	}
	return value.([]any)
}

func main() {
	plain, replaced, none := values("labels.*"), values("labels.*.not_null(@, 'none')"), 0
	for _, value := range replaced {
		if value == "none" {
			none++
		}
	}
	fmt.Printf("labels.*: %d elements, labels.*.not_null(@, 'none'): %d elements, %d of them none\n", len(plain), len(replaced), none)
}
GO
{ go mod init example.com/finding && go get github.com/jmespath/go-jmespath@v0.4.0; } >log 2>&1 || { cat log; exit 2; }
seen=$(go run .)
echo "$seen"
[ "$seen" = "labels.*: 2 elements, labels.*.not_null(@, 'none'): 4 elements, 2 of them none" ]
