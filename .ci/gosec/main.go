// Command gosec runs gosec's rules over a program, and prints what they find beyond what
// is accepted.
//
//	go list -f '{{.Dir}}' ./... | gosec FILE
//
// FILE has a line for each finding that was looked at and is right as it is: the rule,
// the file or the folder, and why. A line to which nothing corresponds any more is a
// finding too. gosec's own command also links the clients of several companies' services,
// which take many times as long to compile as all the rules.
package main

import (
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/securego/gosec/v2"
	"github.com/securego/gosec/v2/analyzers"
	"github.com/securego/gosec/v2/issue"
	"github.com/securego/gosec/v2/rules"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go list -f '{{.Dir}}' ./... | gosec FILE")
		os.Exit(2)
	}
	folders, err := io.ReadAll(os.Stdin)
	found := 0
	if err == nil {
		found, err = run(os.Args[1], strings.FieldsFunc(string(folders),
			func(r rune) bool { return r == '\n' || r == '\r' }))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gosec:", err)
		os.Exit(2)
	}
	if found > 0 {
		os.Exit(1)
	}
}

// run prints what was found, and returns how much that is.
func run(file string, folders []string) (int, error) {
	accepted, err := read(file)
	if err != nil {
		return 0, err
	}
	issues, metrics, err := analyze(folders)
	if err != nil {
		return 0, err
	}
	here, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	found, known := 0, 0
	for _, i := range issues {
		path, err := filepath.Rel(here, i.File)
		if err != nil {
			return 0, err
		}
		path = filepath.ToSlash(path)
		if accepted.has(i.RuleID, path) {
			known++
			continue
		}
		found++
		fmt.Printf("%s:%s: %s: %s\n", path, i.Line, i.RuleID, i.What)
	}
	for _, a := range accepted {
		// Elsewhere other files are compiled, and types have other sizes.
		if !a.used && runtime.GOOS == "linux" {
			found++
			fmt.Printf("%s: nothing is found any more for: %s %s\n", file, a.rule, a.path)
		}
	}
	fmt.Printf("gosec: %d files, %d findings accepted, %d new\n", metrics.NumFiles, known, found)
	return found, nil
}

func analyze(folders []string) ([]*issue.Issue, *gosec.Metrics, error) {
	analyzer := gosec.NewAnalyzer(gosec.NewConfig(), false, true, false, runtime.NumCPU(), log.New(io.Discard, "", 0))
	analyzer.LoadRules(rules.Generate(false).RulesInfo())
	analyzer.LoadAnalyzers(analyzers.Generate(false).AnalyzersInfo())
	if err := analyzer.Process(nil, folders...); err != nil {
		return nil, nil, err
	}
	issues, metrics, failures := analyzer.Report()
	for file, list := range failures {
		for _, f := range list {
			return nil, nil, fmt.Errorf("%s:%d: %s", file, f.Line, f.Err)
		}
	}
	if metrics.NumFiles == 0 {
		return nil, nil, fmt.Errorf("no files in %v", folders)
	}
	return issues, metrics, nil
}
