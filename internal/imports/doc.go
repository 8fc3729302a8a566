// Package imports tests rules about the source that no linter has: which modules each
// library links, that the first example of README.md compiles, that statements name their
// columns, and that there is one table of currencies.
//
// The rules about direct imports are in .golangci.yaml.
package imports
