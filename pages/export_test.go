package pages

// Exports for the tests in package pages_test.
var (
	Amount = amount
	ByDay  = byDay
	Length = length

	DescribePolicyBefore = describePolicyBefore
	When                 = when
)
