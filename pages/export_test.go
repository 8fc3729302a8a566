package pages

// Exports for the tests in package pages_test.
var (
	ByDay = byDay
)
