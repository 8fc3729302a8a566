// Package imports tests rules about the source that no linter has: which modules a
// library links, that README.md's first example compiles, that statements name their
// columns, and that there is one table of currencies. .golangci.yaml has the rules of
// direct imports.
package imports
