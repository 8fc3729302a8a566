package api

// Exports for the tests in package api_test.
