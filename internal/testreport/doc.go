// Command testreport runs `go test` and keeps its usual closing lines, but counts what it skipped and says why.
//
//	go run ./internal/testreport [-no-skips PATTERN] -- [arguments of go test]
//
// Skips of tests whose name or reason matches the -no-skips pattern fail the run.
package main
