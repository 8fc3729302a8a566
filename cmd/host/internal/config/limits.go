package config

// perMinute is the default of BOOKINGS_PER_MINUTE.
const perMinute = 30

// limits completes those of bookings. An address has four times its limit over all
// networks. A network that may hold any number may also make any number in a minute,
// unless that is said; at one time it may make as many as it may hold, and those of a
// minute.
func (c *Config) limits(e environment, problems *Problems) {
	c.HoldsPerEmail, c.HoldsPerAddress = int(e.HoldsPerEmail), int(e.HoldsPerAddress)
	c.HoldsPerEmailAnywhere = min(4*c.HoldsPerEmail, 1000)
	if e.HoldsAnywhere.set {
		c.HoldsPerEmailAnywhere = int(e.HoldsAnywhere.value)
	}
	if c.HoldsPerEmailAnywhere > 0 && (c.HoldsPerEmail == 0 || c.HoldsPerEmailAnywhere < c.HoldsPerEmail) {
		problems.add("HOLDS_PER_EMAIL_ANYWHERE", "is less than HOLDS_PER_EMAIL",
			"it is that or more; 0 is no limit, and is needed where HOLDS_PER_EMAIL is 0")
	}
	if c.HoldsPerAddress > 0 {
		c.BookingsPerMinute = perMinute
	}
	if e.BookingsPerMinute.set {
		c.BookingsPerMinute = int(e.BookingsPerMinute.value)
	}
	if c.BookingsPerMinute > 0 {
		c.BookingsAtOnce = c.HoldsPerAddress + c.BookingsPerMinute
	}
}
