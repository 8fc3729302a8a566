// Package stripego tests package stripetest with the newest stripe-go, which a service
// may use beside the one that this project links. It is a module of its own, so that the
// project requires one stripe-go only.
package stripego
