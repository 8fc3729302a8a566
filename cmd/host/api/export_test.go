package api

// What the tests, in their own package, see of this one.
var LocalTime = localTime
