// Package valid checks and formats values for several packages of this module:
// currencies, amounts, and text that can be stored and shown. It uses the standard
// library alone.
package valid
