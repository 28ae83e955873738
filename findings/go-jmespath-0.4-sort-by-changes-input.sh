#!/usr/bin/env bash
# go-jmespath 0.4.0: sort_by sorts the array of the document itself.
#
# The specification describes functions without side effects. `sort` copies its argument, but `sort_by` does not: what the same
# expression reads after it, and what the next expression reads, is in the new order. A program that evaluates several filters
# over one Pod can change the order of the Pod's containers. jmespath 0.16.0 (npm) leaves the document as it is.
#
# Seen on 2026-11-30:
#   one expression: [1 1] document afterwards: map[items:[map[n:1] map[n:2] map[n:3]]] after sort: map[items:[3 1 2]]
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"

	"github.com/jmespath/go-jmespath"
)

func search(expression, text string) (any, any) {
	var document any
	json.Unmarshal([]byte(text), &document)
	value, err := jmespath.Search(expression, document)
	if err != nil {
		panic(err)
	}
	return value, document
}

func main() {
	value, document := search("[sort_by(items, &n)[0].n, items[0].n]", `{"items":[{"n":3},{"n":1},{"n":2}]}`)
	_, sorted := search("sort(items)", `{"items":[3,1,2]}`)
	fmt.Println("one expression:", value, "document afterwards:", document, "after sort:", sorted)
}
GO
{ go mod init example.com/finding && go get github.com/jmespath/go-jmespath@v0.4.0; } >log 2>&1 || { cat log; exit 2; }
seen=$(go run .)
echo "$seen"
[ "$seen" = "one expression: [1 1] document afterwards: map[items:[map[n:1] map[n:2] map[n:3]]] after sort: map[items:[3 1 2]]" ]
