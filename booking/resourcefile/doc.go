// Package resourcefile reads and writes resources as people write them in files, in YAML
// or JSON: durations as "1h30m", opening hours as "9:00-12:30", prices as "25.00" with
// exactly the digits of their currency, so that nobody takes cents for euros.
// docs/resources.md describes every field.
//
// It talks to no database. What it reads is checked as far as that goes, and everything
// that is wrong is told at once, with its line.
package resourcefile
