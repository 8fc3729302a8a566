// Package stripego tests package stripetest with the newest stripe-go. It is a module of
// its own, so that the project requires one stripe-go only.
package stripego
