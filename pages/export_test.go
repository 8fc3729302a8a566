package pages

// What the tests, in their own package, see of this one.
var (
	Amount = amount
	ByDay  = byDay
	Length = length
	When   = when
)
