#!/usr/bin/env bash
# jmespath 0.16.0 (npm): comparisons, to_number and contains convert their operands as JavaScript does.
#
# The JMESPath specification orders only numbers: `<` and its relatives are null for everything else. to_number
# is null for text that is not a JSON number. The npm package compares any two values, so a field that does not exist is both
# >= 0 and <= 0, and it turns empty text into 0. go-jmespath 0.4.0 follows the
# specification. The same filter over the same Pod therefore selects other containers in a Node program than in a Go program.
#
# Seen on 2026-11-30 (expression: npm, Go):
#   priority >= `0`: true, null        name > 'a': true, null       to_number(''): 0, null
#   priority <= `0`: true, null        to_number('0x10'): 16, null  contains('12', `1`): true, false
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cat >expressions.json <<'JSON'
["priority >= `0`", "priority <= `0`", "name > 'a'", "to_number('0x10')", "to_number('')", "contains('12', `1`)"]
JSON
npm install --silent --no-audit --no-fund --prefix . jmespath@0.16.0 >/dev/null || exit 2
cat >js.cjs <<'JS'
const { search } = require('jmespath');
const values = require('./expressions.json').map((expression) => search({ name: 'web' }, expression));
console.log(values.map((value) => JSON.stringify(value ?? null)).join(' '));
JS
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/jmespath/go-jmespath"
)

func main() {
	text, _ := os.ReadFile("expressions.json")
	var expressions, values []string
	json.Unmarshal(text, &expressions)
	for _, expression := range expressions {
		value, err := jmespath.Search(expression, map[string]any{"name": "web"})
		if err != nil {
			panic(err)
		}
		written, _ := json.Marshal(value)
		values = append(values, string(written))
	}
	fmt.Println(strings.Join(values, " "))
}
GO
{ go mod init example.com/finding && go get github.com/jmespath/go-jmespath@v0.4.0; } >log 2>&1 || { cat log; exit 2; }
js=$(node js.cjs); go=$(go run .)
echo "npm: $js"
echo "Go:  $go"
[ "$js" = "true true true 16 0 true" ] && [ "$go" = "null null null null null false" ]
