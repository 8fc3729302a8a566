package main

import (
	"fmt"
	"os"
	"strings"
)

// accepted are the findings that are right as they are.
type accepted []*acceptance

type acceptance struct {
	rule, path string
	used       bool
}

// read reads the file. What follows a # is for people.
func read(file string) (accepted, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all accepted
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s:%d: a rule, a path and a reason", file, n)
		}
		all = append(all, &acceptance{rule: fields[0], path: fields[1]})
	}
	return all, nil
}

// has tells whether a finding is accepted. A path that ends in a slash is a folder with
// all below it.
func (a accepted) has(rule, path string) bool {
	for _, one := range a {
		if one.rule == rule && (one.path == path || strings.HasSuffix(one.path, "/") &&
			strings.HasPrefix(path, one.path)) {
			one.used = true
			return true
		}
	}
	return false
}
