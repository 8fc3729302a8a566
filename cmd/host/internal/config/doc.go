// Package config reads the host's configuration from the environment.
//
// The problem is that a service that stops at the first bad variable is started ten times
// until it runs, one that guesses a default for a missing secret runs with the wrong one,
// and one that prints values writes its secrets into a log. So [Load] reads everything
// and returns all problems in one error: variable, what is wrong, and what to do. A
// problem never quotes a secret. `.env.example` lists the variables.
package config
