// Command go-jmespath evaluates expressions as k8s-image-swapper does, for comparison with our evaluator.
//
// It reads one JSON object a line, {"expression": string, "context": any}, and writes one a line:
// {"compileError": string} or {"outcomes": [...]}, the distinct outcomes of several evaluations, each {"value": any},
// {"error": string} or {"panic": string}. More than one outcome means that Go's random map order shows.
//
// Values that JSON cannot hold are written as {"$go": "NaN"}, "+Inf", "-Inf", "-0" or "expression".
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"strings"

	"github.com/jmespath/go-jmespath"
)

type request struct {
	Expression string          `json:"expression"`
	Context    json.RawMessage `json:"context"`
}

type response struct {
	CompileError string            `json:"compileError,omitempty"`
	Outcomes     []json.RawMessage `json:"outcomes,omitempty"`
}

// Enough for a map of two entries to show both orders but once in 16 million.
const mapOrderRuns = 24

func main() {
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	output := bufio.NewWriter(os.Stdout)
	decoder := json.NewDecoder(input)
	encoder := json.NewEncoder(output)
	for decoder.More() {
		var asked request
		if err := decoder.Decode(&asked); err != nil {
			log.Fatalf("reading a request: %v", err)
		}
		if err := encoder.Encode(answer(asked)); err != nil {
			log.Fatalf("writing a response: %v", err)
		}
	}
	if err := output.Flush(); err != nil {
		log.Fatalf("writing responses: %v", err)
	}
}

func answer(asked request) response {
	if err := compile(asked.Expression); err != nil {
		return response{CompileError: err.Error()}
	}
	runs := 1
	if strings.Contains(asked.Expression, "*") || strings.Contains(asked.Expression, "keys") || strings.Contains(asked.Expression, "values") {
		runs = mapOrderRuns
	}
	var outcomes []json.RawMessage
	for i := 0; i < runs; i++ {
		outcome, err := json.Marshal(evaluate(asked))
		if err != nil {
			log.Fatalf("encoding the result of %q: %v", asked.Expression, err)
		}
		if !contains(outcomes, outcome) {
			outcomes = append(outcomes, outcome)
		}
	}
	return response{Outcomes: outcomes}
}

func compile(expression string) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v", reason)
		}
	}()
	_, err = jmespath.Compile(expression)
	return err
}

// evaluate starts from a fresh context and a fresh expression, because sort_by changes what it sorts.
func evaluate(asked request) (outcome map[string]any) {
	defer func() {
		if reason := recover(); reason != nil {
			outcome = map[string]any{"panic": fmt.Sprint(reason)}
		}
	}()
	var context any
	if err := json.Unmarshal(asked.Context, &context); err != nil {
		log.Fatalf("reading the context of %q: %v", asked.Expression, err)
	}
	value, err := jmespath.MustCompile(asked.Expression).Search(context)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	return map[string]any{"value": encodable(value)}
}

func encodable(value any) any {
	switch typed := value.(type) {
	case float64:
		switch {
		case math.IsNaN(typed), math.IsInf(typed, 0):
			return map[string]any{"$go": fmt.Sprint(typed)}
		case typed == 0 && math.Signbit(typed):
			return map[string]any{"$go": "-0"}
		}
		return typed
	case []any:
		items := make([]any, len(typed))
		for i, item := range typed {
			items[i] = encodable(item)
		}
		return items
	case map[string]any:
		fields := make(map[string]any, len(typed))
		for name, field := range typed {
			fields[name] = encodable(field)
		}
		return fields
	case nil, bool, string:
		return typed
	default:
		return map[string]any{"$go": "expression"}
	}
}

func contains(outcomes []json.RawMessage, wanted json.RawMessage) bool {
	for _, outcome := range outcomes {
		if bytes.Equal(outcome, wanted) {
			return true
		}
	}
	return false
}
