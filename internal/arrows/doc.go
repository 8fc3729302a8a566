// Package arrows holds the layering of this module by tests: which room of the house may
// know which other, what an embedder must never be made to link, and a few rules about
// the source itself.
//
// A package that is imported one at a time stays so only while nobody takes a short cut,
// and a short cut looks harmless in the change that brings it. The table in
// arrows_test.go says package, forbidden import and why; a new room needs a row there
// before it passes.
package arrows
