module image-swapper.dev/test/tools/gatekeeper-3.23

go 1.26.0

require github.com/open-policy-agent/gatekeeper/v3 v3.23.0
