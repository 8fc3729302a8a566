// Package valid holds the rules about values that several packages of the module share:
// which currencies there are, how amounts are written and what Stripe charges. It imports
// the standard library only, so that every package may import it.
package valid
