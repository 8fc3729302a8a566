package config

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
)

// environment is what the variables say, each read by itself. What they mean together is
// Load's.
type environment struct {
	AppEnv             mode       `env:"APP_ENV"`
	NodeEnv            mode       `env:"NODE_ENV"`
	Host               string     `env:"BIND_ADDRESS"`
	Port               port       `env:"PORT" envDefault:"3000"`
	AppURL             string     `env:"APP_URL"`
	AppVersion         string     `env:"APP_VERSION"`
	StorageDriver      driver     `env:"STORAGE_DRIVER"`
	DatabaseURL        string     `env:"DATABASE_URL"`
	DatabasePool       poolSize   `env:"DATABASE_POOL" envDefault:"20"`
	DatabasePrepare    boolean    `env:"DATABASE_PREPARE"`
	DataDir            string     `env:"DATA_DIR" envDefault:"./.data"`
	EmbeddedRepository string     `env:"EMBEDDED_POSTGRES_REPOSITORY"`
	SessionSecret      list       `env:"SESSION_SECRET"`
	StripeSecretKey    string     `env:"STRIPE_SECRET_KEY"`
	StripeWebhook      list       `env:"STRIPE_WEBHOOK_SECRET"`
	StripeAPIBase      string     `env:"STRIPE_API_BASE"`
	StripeAccount      string     `env:"STRIPE_ACCOUNT"`
	TrustProxy         TrustProxy `env:"TRUST_PROXY"`
	CookieSecure       boolean    `env:"COOKIE_SECURE"`
	CookieSameSite     sameSite   `env:"COOKIE_SAMESITE" envDefault:"lax"`
	CookieDomain       string     `env:"COOKIE_DOMAIN"`
	AdminEmail         string     `env:"ADMIN_EMAIL"`
	AdminPassword      string     `env:"ADMIN_PASSWORD"`
	HoldsPerEmail      count      `env:"HOLDS_PER_EMAIL" envDefault:"3"`
	HoldsPerAddress    count      `env:"HOLDS_PER_ADDRESS" envDefault:"100"`
	HoldsAnywhere      ownCount   `env:"HOLDS_PER_EMAIL_ANYWHERE"`
	BookingsPerMinute  ownCount   `env:"BOOKINGS_PER_MINUTE"`
	Metrics            Metrics    `env:"METRICS_ADDR"`
	MaxConnections     places     `env:"MAX_CONNECTIONS" envDefault:"4096"`
	ShutdownGrace      seconds    `env:"SHUTDOWN_GRACE" envDefault:"0"`
}

// parse reads every variable and notes those that are malformed. An empty variable counts
// as absent, which is what compose files make of one that is not set; blanks around a
// value, such as the CR of an .env file written on Windows, are no part of it.
func parse(environ map[string]string, problems *Problems) environment {
	trimmed := map[string]string{}
	for name, value := range environ {
		if value = strings.TrimSpace(value); value != "" {
			trimmed[name] = value
		}
	}
	var e environment
	err := env.ParseWithOptions(&e, env.Options{Environment: trimmed})
	var all env.AggregateError
	errors.As(err, &all)
	for _, err := range all.Errors {
		var one env.ParseError
		var why malformed
		if errors.As(err, &one) && errors.As(one.Err, &why) {
			problems.add(variable(one.Name), why.wrong, why.remedy)
			continue
		}
		// The library's own words could quote a value. There is no variable that it
		// parses by itself.
		problems.add("environment", "cannot be read", "this is a mistake of the program; please report it")
	}
	if e.AppEnv.known() && e.NodeEnv.known() && e.AppEnv != e.NodeEnv {
		problems.add("NODE_ENV", fmt.Sprintf("is %q, and APP_ENV is %q", e.NodeEnv, e.AppEnv),
			"NODE_ENV is the old name of APP_ENV: set one of them, or both to the same")
	}
	return e
}

// production reports whether either name of the environment says so. Where they disagree,
// which is a problem, the rest is judged by the stricter rules.
func (e environment) production() bool { return e.AppEnv == production || e.NodeEnv == production }

// variable gives the name of the variable of a field of environment.
func variable(field string) string {
	f, _ := reflect.TypeFor[environment]().FieldByName(field)
	return f.Tag.Get("env")
}

type mode string

const (
	production  mode = "production"
	development mode = "development"
)

func (m mode) known() bool { return m == production || m == development }

// UnmarshalText accepts the two environments there are.
func (m *mode) UnmarshalText(text []byte) error {
	*m = mode(text)
	if *m == "" || *m == production || *m == development {
		return nil
	}
	return malformed{fmt.Sprintf("is %q", text), "it is production or development"}
}

type driver string

const (
	driverDB       driver = "db"
	driverEmbedded driver = "embedded"
)

// UnmarshalText accepts the two storage drivers there are.
func (d *driver) UnmarshalText(text []byte) error {
	*d = driver(text)
	if *d == "" || *d == driverDB || *d == driverEmbedded {
		return nil
	}
	return malformed{fmt.Sprintf("is %q", text),
		"it is db (the database of DATABASE_URL) or embedded (a private Postgres, for development)"}
}

type port int

// UnmarshalText accepts 0 too: the system then chooses, which tests use.
func (p *port) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil {
		return malformed{fmt.Sprintf("is %q", text), "it is a port number, such as 3000"}
	}
	*p = port(n)
	return nil
}

// count is a limit; 0 is none.
type count int

// UnmarshalText accepts whole numbers up to a thousand, the most that booking counts to.
func (c *count) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil || n > 1000 {
		return malformed{fmt.Sprintf("is %q", text), "it is a whole number such as 3, up to 1000; 0 is no limit"}
	}
	*c = count(n)
	return nil
}

// ownCount is a count whose default follows from other variables.
type ownCount struct {
	set   bool
	value count
}

// UnmarshalText accepts what count does.
func (c *ownCount) UnmarshalText(text []byte) error {
	c.set = true
	return c.value.UnmarshalText(text)
}

// places is how many connections there may be.
type places int

// UnmarshalText accepts whole numbers from 1 to a million.
func (p *places) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil || n == 0 || n > 1_000_000 {
		return malformed{fmt.Sprintf("is %q", text), "it is a whole number from 1 to 1000000"}
	}
	*p = places(n)
	return nil
}

// seconds is a time of up to a minute.
type seconds int

// UnmarshalText accepts whole numbers.
func (s *seconds) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil || n > 60 {
		return malformed{fmt.Sprintf("is %q", text), "it is a whole number of seconds, up to 60"}
	}
	*s = seconds(n)
	return nil
}

// poolSize is how many connections a host opens at most. Three hosts of 20 and an
// operator stay below the 100 that Postgres has by default.
type poolSize int

// UnmarshalText accepts whole numbers of connections. With one alone, who holds it and
// wants another would wait for itself.
func (p *poolSize) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil || n < 2 || n > 1000 {
		return malformed{fmt.Sprintf("is %q", text),
			"it is how many connections to open at most, such as 20, from 2 to 1000"}
	}
	*p = poolSize(n)
	return nil
}

// boolean knows whether it was set: what it defaults to depends on other variables.
type boolean struct{ set, value bool }

// UnmarshalText accepts what strconv.ParseBool does.
func (b *boolean) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	v, err := strconv.ParseBool(string(text))
	if err != nil {
		return malformed{fmt.Sprintf("is %q", text), "it is true or false"}
	}
	b.set, b.value = true, v
	return nil
}

type sameSite http.SameSite

// UnmarshalText accepts the three values of the cookie attribute, in any case.
func (s *sameSite) UnmarshalText(text []byte) error {
	switch strings.ToLower(string(text)) {
	case "lax":
		*s = sameSite(http.SameSiteLaxMode)
	case "strict":
		*s = sameSite(http.SameSiteStrictMode)
	case "none":
		*s = sameSite(http.SameSiteNoneMode)
	default:
		return malformed{fmt.Sprintf("is %q", text), "it is lax, strict or none"}
	}
	return nil
}

// list is comma separated; empty parts are dropped.
type list []string

// UnmarshalText never fails: its parts are looked at where they are used.
func (l *list) UnmarshalText(text []byte) error {
	for part := range strings.SplitSeq(string(text), ",") {
		*l = append(*l, strings.TrimSpace(part))
	}
	*l = slices.DeleteFunc(*l, func(s string) bool { return s == "" })
	return nil
}
