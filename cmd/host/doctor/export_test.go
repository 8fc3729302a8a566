package doctor

// Servers that no test has: one that is too old, and a standby.
var (
	VersionFinding  = versionFinding
	ReadOnlyFinding = readOnlyFinding
)
