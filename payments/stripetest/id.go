package stripetest

import "crypto/rand"

// newID returns prefix and n random letters and digits, as Stripe's ids look.
func newID(prefix string, n int) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	id := make([]byte, 0, n)
	var random [64]byte
	for len(id) < n {
		_, _ = rand.Read(random[:]) // never fails
		for _, b := range random {
			// Bytes past the last multiple of 62 would favour some characters.
			if b < 62*4 && len(id) < n {
				id = append(id, alphabet[b%62])
			}
		}
	}
	return prefix + string(id)
}
