package doctor

// Collation is the finding for two versions of a collation, which no test has.
var Collation = collation
