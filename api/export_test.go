package api

// Exports for the tests in package api_test.

var (
	OpenAPIFile    = openAPI
	ListParameters = listParameters
)

type (
	Stats       = statsView
	Rescheduled = rescheduledView
)
