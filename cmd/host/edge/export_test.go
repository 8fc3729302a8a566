package edge

// What the tests, in their own package, see of this one.
var NetworkOf = network
