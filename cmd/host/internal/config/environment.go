package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
)

// environment is the variables, each parsed without the others.
type environment struct {
	AppEnv             mode       `env:"APP_ENV"`
	NodeEnv            mode       `env:"NODE_ENV"`
	Host               string     `env:"BIND_ADDRESS"`
	Port               integer    `env:"PORT" envDefault:"3000"`
	AppURL             string     `env:"APP_URL"`
	AppVersion         string     `env:"APP_VERSION"`
	StorageDriver      driver     `env:"STORAGE_DRIVER"`
	DatabaseURL        string     `env:"DATABASE_URL"`
	DatabaseReadURL    string     `env:"DATABASE_READ_URL"`
	DatabasePool       integer    `env:"DATABASE_POOL" envDefault:"20"`
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
	HoldsPerEmail      integer    `env:"HOLDS_PER_EMAIL" envDefault:"3"`
	HoldsPerAddress    integer    `env:"HOLDS_PER_ADDRESS" envDefault:"100"`
	HoldsAnywhere      integer    `env:"HOLDS_PER_EMAIL_ANYWHERE"`
	BookingsPerMinute  integer    `env:"BOOKINGS_PER_MINUTE"`
	Metrics            Metrics    `env:"METRICS_ADDR"`
	MaxConnections     integer    `env:"MAX_CONNECTIONS" envDefault:"4096"`
	ShutdownGrace      integer    `env:"SHUTDOWN_GRACE" envDefault:"0"`
	LogLevel           logLevel   `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat          logFormat  `env:"LOG_FORMAT"`
	PersonalDataDays   integer    `env:"PERSONAL_DATA_DAYS" envDefault:"0"`
	SMTPURL            string     `env:"SMTP_URL"`
	MailFrom           string     `env:"MAIL_FROM"`
	MailOwner          list       `env:"MAIL_OWNER"`
	MailOwnerLanguage  string     `env:"MAIL_OWNER_LANGUAGE" envDefault:"en"`
}

// parse reads every variable. An empty one counts as absent, because compose files set
// variables without a value to "". Whitespace around a value is dropped, such as the CR
// of an .env file written on Windows.
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
		// Not expected. The library's text could quote a secret.
		problems.add("environment", "cannot be read", "this is a bug; please report it")
	}
	e.checkRanges(problems)
	if e.AppEnv.known() && e.NodeEnv.known() && e.AppEnv != e.NodeEnv {
		problems.add("NODE_ENV", fmt.Sprintf("is %q, and APP_ENV is %q", e.NodeEnv, e.AppEnv),
			"NODE_ENV is the old name of APP_ENV: set one of them, or both to the same")
	}
	return e
}

// production reports whether one of the two variables says so. If they disagree, which is
// a problem, the stricter rules apply.
func (e environment) production() bool { return e.AppEnv == production || e.NodeEnv == production }

// variable returns the name of the variable of a field of environment.
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

// UnmarshalText implements encoding.TextUnmarshaler.
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

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *driver) UnmarshalText(text []byte) error {
	*d = driver(text)
	if *d == "" || *d == driverDB || *d == driverEmbedded {
		return nil
	}
	return malformed{fmt.Sprintf("is %q", text),
		"it is db (the database of DATABASE_URL) or embedded (a private Postgres, for development)"}
}

type logLevel slog.Level

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *logLevel) UnmarshalText(text []byte) error {
	switch strings.ToLower(string(text)) {
	case "debug", "info", "warn", "error":
		return (*slog.Level)(l).UnmarshalText(text)
	}
	return malformed{fmt.Sprintf("is %q", text), "it is debug, info, warn or error"}
}

// The values of LOG_FORMAT.
const (
	LogJSON = "json"
	LogText = "text"
)

type logFormat string

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *logFormat) UnmarshalText(text []byte) error {
	*f = logFormat(text)
	if *f == "" || *f == LogJSON || *f == LogText {
		return nil
	}
	return malformed{fmt.Sprintf("is %q", text), "it is json or text; unset it for text on a terminal in development"}
}

// integer is a whole number, whose range parse checks.
type integer struct {
	set   bool
	text  string
	value int // -1 if it is not a number.
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *integer) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 31)
	*i = integer{set: true, text: string(text), value: int(n)}
	if err != nil {
		i.value = -1
	}
	return nil
}

// checkRanges reports the integers that are not valid, and sets them to 0.
func (e *environment) checkRanges(problems *Problems) {
	const limit = "it is a whole number such as 3, up to 1000; 0 is no limit"
	for _, c := range []struct {
		name        string
		n           *integer
		least, most int
		remedy      string
	}{
		{"PORT", &e.Port, 0, 65535, "it is a port number, such as 3000"}, // With 0 the system chooses.
		// A request may need two connections at once.
		{"DATABASE_POOL", &e.DatabasePool, 2, 1000,
			"it is how many connections to open at most, such as 20, from 2 to 1000"},
		{"HOLDS_PER_EMAIL", &e.HoldsPerEmail, 0, 1000, limit},
		{"HOLDS_PER_ADDRESS", &e.HoldsPerAddress, 0, 1000, limit},
		{"HOLDS_PER_EMAIL_ANYWHERE", &e.HoldsAnywhere, 0, 1000, limit},
		{"BOOKINGS_PER_MINUTE", &e.BookingsPerMinute, 0, 1000, limit},
		{"MAX_CONNECTIONS", &e.MaxConnections, 1, 1_000_000, "it is a whole number from 1 to 1000000"},
		{"PERSONAL_DATA_DAYS", &e.PersonalDataDays, 0, 36500,
			"it is a whole number of days, such as 730; 0 keeps personal data for ever"},
		{"SHUTDOWN_GRACE", &e.ShutdownGrace, 0, 60, "it is a whole number of seconds, up to 60"},
	} {
		if c.n.set && (c.n.value < c.least || c.n.value > c.most) {
			problems.add(c.name, fmt.Sprintf("is %q", c.n.text), c.remedy)
			c.n.value = 0
		}
	}
}

// boolean has set, because its default may depend on other variables.
type boolean struct{ set, value bool }

// UnmarshalText implements encoding.TextUnmarshaler.
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

// UnmarshalText implements encoding.TextUnmarshaler.
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

// list is separated by commas; empty parts are dropped.
type list []string

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *list) UnmarshalText(text []byte) error {
	for part := range strings.SplitSeq(string(text), ",") {
		*l = append(*l, strings.TrimSpace(part))
	}
	*l = slices.DeleteFunc(*l, func(s string) bool { return s == "" })
	return nil
}

// TrustProxy is which proxies X-Forwarded-For is accepted from; the zero value is none.
type TrustProxy struct {
	// Count is the number of proxies that append to the header. The last one must have a
	// loopback or private address.
	Count int
	// Networks are the proxies' networks, instead of a count.
	Networks []netip.Prefix
}

// UnmarshalText reads a number, true (1), false (0), or a list of networks or addresses.
func (t *TrustProxy) UnmarshalText(text []byte) error {
	*t = TrustProxy{}
	s := string(text)
	switch strings.ToLower(s) {
	case "", "false":
		return nil
	case "true":
		t.Count = 1
		return nil
	}
	if n, err := strconv.Atoi(s); err == nil {
		if n < 0 || n > 10 {
			return malformed{fmt.Sprintf("is %d", n), "it is how many proxies are in front, 0 to 10"}
		}
		t.Count = n
		return nil
	}
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			addr, addrErr := netip.ParseAddr(part)
			if addrErr != nil || addr.Zone() != "" {
				return malformed{fmt.Sprintf("has %q", part),
					"it is a number of proxies, true, false, or their networks, such as 10.0.0.0/8,192.168.1.7"}
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		t.Networks = append(t.Networks, prefix.Masked())
	}
	return nil
}

// metricsDefault is the default of METRICS_ADDR.
const metricsDefault = "127.0.0.1:9464"

// Metrics is the address of GET /metrics.
type Metrics struct {
	// Address is an IP address and a port; empty is off. Port 0 lets the system choose.
	Address string
	// Set reports that METRICS_ADDR is set: the start fails if the address is in use.
	Set bool
}

// UnmarshalText reads off, or an IP address (or localhost, or nothing for all) and a
// port.
func (m *Metrics) UnmarshalText(text []byte) error {
	raw := string(text)
	switch raw {
	case "":
		return nil
	case "off":
		*m = Metrics{Set: true}
		return nil
	}
	const remedy = "it is an address and a port, such as 127.0.0.1:9464, or off; only Prometheus should reach it"
	host, port, err := net.SplitHostPort(raw)
	if err != nil {
		return malformed{fmt.Sprintf("is %q", raw), remedy}
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		return malformed{fmt.Sprintf("is %q, which does not begin with an IP address", raw), remedy}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return malformed{fmt.Sprintf("is %q, which does not end with a port number", raw), remedy}
	}
	*m = Metrics{Address: net.JoinHostPort(host, port), Set: true}
	return nil
}
