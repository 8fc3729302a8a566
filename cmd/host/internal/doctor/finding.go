package doctor

import "slices"

// Level says how bad a finding is.
type Level string

const (
	// Problem keeps the host from running, or from doing what it promises.
	Problem Level = "problem"
	// Warning is likely to be a mistake, or to become a problem.
	Warning Level = "warning"
	// OK is as it should be.
	OK Level = "ok"
)

// Finding is what a check has found.
type Finding struct {
	Level Level `json:"level"`
	// Name stays from release to release, for scripts.
	Name Name `json:"name"`
	// Found says what was found, and never a secret.
	Found string `json:"found"`
	// Remedy says in one sentence what to do; empty where there is nothing to do.
	Remedy string `json:"remedy,omitempty"`
}

func problem(name Name, found, remedy string) Finding { return Finding{Problem, name, found, remedy} }
func warning(name Name, found, remedy string) Finding { return Finding{Warning, name, found, remedy} }
func ok(name Name, found string) Finding              { return Finding{OK, name, found, ""} }

// Count counts the findings of a level.
func Count(findings []Finding, level Level) (n int) {
	for _, f := range findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// good tells whether nothing but OK was found.
func good(findings []Finding) bool {
	return !slices.ContainsFunc(findings, func(f Finding) bool { return f.Level != OK })
}
