// Package config reads the host's configuration from its environment.
//
// The problem: a service that stops at the first bad variable is started ten times until
// it runs, one that guesses a default for a missing secret runs with the wrong one, and
// one that prints what it got writes its secrets into a log.
//
// [Load] reads everything, and says everything that is wrong in one message: the
// variable's name, what is wrong with it, and what to do. What it says about a secret
// never quotes it. `.env.example` in the root of the repository lists the variables.
package config
