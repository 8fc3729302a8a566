// Package resourcefile reads and writes resources as YAML or JSON files.
//
// The problem is that people write these files: a wrong unit or a misspelt field must not
// change what is sold. So durations are written as "1h30m", opening hours as
// "9:00-12:30" and prices as "25.00", with exactly the digits of their currency; an
// unknown field is an error; and all errors are reported at once, with line and field.
// docs/resources.md describes every field.
//
// The package has no access to the database: [booking.Store.ApplyResource] compares with
// the existing resource and its bookings.
package resourcefile
