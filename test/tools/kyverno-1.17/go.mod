module image-swapper.dev/test/tools/kyverno-1.17

go 1.26.0

require github.com/kyverno/kyverno v1.17.2
