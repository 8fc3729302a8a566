package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// ReceiverName is the name of the host's webhook.Receiver in the ledger. Other programs
// on the same database have another.
const ReceiverName = "host"

// Config is a configuration of the host.
type Config struct {
	// Production requires all secrets and DATABASE_URL.
	Production bool
	// Host is the IP address to listen on; Port 0 lets the system choose.
	Host string
	Port int
	// AppURL is the public address without a trailing slash. Empty, in development only,
	// is the address listened on.
	AppURL string
	// Version is APP_VERSION; empty is that of the build.
	Version string
	// Embedded is a private Postgres in DataDir; else DatabaseURL is ready for lib/pq.
	Embedded    bool
	DatabaseURL string
	// DatabaseReadURL leads to a hot standby for reads that may be behind; "" is none.
	DatabaseReadURL string
	// DatabaseWarnings are about parts of DATABASE_URL and variables that have no effect.
	DatabaseWarnings   []string
	DataDir            string
	EmbeddedRepository string
	// DatabasePool is the largest number of connections.
	DatabasePool int
	// Prepare keeps statements prepared on each connection. It is the default for the
	// embedded database only, because a pooler may not support it.
	Prepare bool
	// SessionSecrets sign sessions and owner tokens: the first signs, all are accepted.
	// They are empty in development only, see [KeepSessionSecret].
	SessionSecrets []string
	// StripeAccount names the account if hosts with different accounts share a database.
	StripeAccount string
	// StripeSecretKey is empty in development only; Stripe is then replaced by a
	// stand-in.
	StripeSecretKey      string
	StripeWebhookSecrets []string
	// StripeAPIBase is another address of Stripe's API, for tests.
	StripeAPIBase string
	TrustProxy    TrustProxy
	Cookie        Cookie
	// AdminEmail and AdminPassword make the first user; both or neither are set.
	AdminEmail, AdminPassword string
	// Limits of holds and free bookings: per e-mail address and client network, per
	// e-mail address, and per network; 0 is no limit.
	HoldsPerEmail, HoldsPerEmailAnywhere, HoldsPerAddress int
	// BookingsPerMinute limits the bookings and moves of a client network, BookingsAtOnce
	// its bursts; 0 is no limit.
	BookingsPerMinute, BookingsAtOnce int
	Metrics                           Metrics
	MaxConnections                    int
	// ShutdownGrace is how long readiness fails before the host stops accepting
	// connections.
	ShutdownGrace time.Duration
	// LogLevel is the least level that is logged. LogFormat is LogJSON, LogText, or "",
	// which is text on a terminal in development.
	LogLevel  slog.Level
	LogFormat string
	// PersonalDataFor is how long after its end a booking keeps its customer; 0 is for
	// ever.
	PersonalDataFor time.Duration
	// SMTPURL is the mail server; empty sends nothing, and in development shows mails at
	// /mailbox. MailFrom is the sender, which may have a name, and MailOwners are addresses
	// that get a mail for each change, in MailOwnerLanguage, "en" or "fr".
	SMTPURL, MailFrom string
	MailOwners        []string
	MailOwnerLanguage string
}

// Cookie is the attributes of the session cookie.
type Cookie struct {
	Secure   bool
	SameSite http.SameSite
	Domain   string
}

// Load reads the configuration from environ. The error is [Problems]. It opens nothing.
func Load(environ map[string]string) (Config, error) {
	c, problems := Read(environ)
	if len(problems) > 0 {
		return Config{}, problems
	}
	return c, nil
}

// Read is [Load] that also returns the parts of an invalid configuration that are valid.
func Read(environ map[string]string) (Config, Problems) {
	var problems Problems
	e := parse(environ, &problems)
	isProduction := e.production()
	c := Config{
		Production:           isProduction,
		Host:                 bindHost(e.Host, isProduction, &problems),
		Port:                 e.Port.value,
		Version:              e.AppVersion,
		DataDir:              e.DataDir,
		EmbeddedRepository:   e.EmbeddedRepository,
		SessionSecrets:       sessionSecrets(e.SessionSecret, isProduction, &problems),
		StripeSecretKey:      e.StripeSecretKey,
		StripeWebhookSecrets: e.StripeWebhook,
		StripeAccount:        e.StripeAccount,
		StripeAPIBase:        strings.TrimRight(e.StripeAPIBase, "/"),
		TrustProxy:           e.TrustProxy,
		AdminEmail:           e.AdminEmail,
		AdminPassword:        e.AdminPassword,
		Metrics:              e.Metrics,
		MaxConnections:       e.MaxConnections.value,
		ShutdownGrace:        time.Duration(e.ShutdownGrace.value) * time.Second,
		LogLevel:             slog.Level(e.LogLevel),
		LogFormat:            string(e.LogFormat),
		PersonalDataFor:      time.Duration(e.PersonalDataDays.value) * 24 * time.Hour,
	}
	if !c.Metrics.Set {
		c.Metrics.Address = metricsDefault
	}
	switch {
	case e.AppURL != "":
		c.AppURL = appURL(e.AppURL, isProduction, &problems)
	case isProduction:
		problems.add("APP_URL", "is missing",
			"set it to the public address, such as https://booking.example.com: customers return to it after paying")
	}
	c.storage(e, environ, &problems)
	stripe(e, isProduction, &problems)
	c.limits(e, &problems)
	c.cookie(e, &problems)
	c.admin(&problems)
	c.mail(e, &problems)
	c.mistakenForDevelopment(e, &problems)
	return c, problems
}

// LoadStorage reads only the variables of the database, for migrations and commands.
func LoadStorage(environ map[string]string) (Config, error) {
	var all Problems
	e := parse(environ, &all)
	problems := all.only("APP_ENV", "NODE_ENV", "STORAGE_DRIVER", "DATABASE_POOL")
	c := Config{Production: e.production(), DataDir: e.DataDir, EmbeddedRepository: e.EmbeddedRepository}
	c.storage(e, environ, &problems)
	if len(problems) > 0 {
		return Config{}, problems
	}
	return c, nil
}

// Address reads only the address that the host listens on.
func Address(environ map[string]string) (host string, port int, err error) {
	var all Problems
	e := parse(environ, &all)
	problems := all.only("APP_ENV", "NODE_ENV", "PORT")
	host = bindHost(e.Host, e.production(), &problems)
	if len(problems) > 0 {
		return "", 0, problems
	}
	return host, e.Port.value, nil
}

// storage sets the database: DATABASE_URL, or an embedded Postgres in development.
func (c *Config) storage(e environment, environ map[string]string, problems *Problems) {
	driver := e.StorageDriver
	if driver == "" {
		driver = driverEmbedded
		if e.DatabaseURL != "" || c.Production {
			driver = driverDB
		}
	}
	c.Embedded = driver == driverEmbedded
	c.DatabasePool = e.DatabasePool.value
	c.Prepare = c.Embedded
	if e.DatabasePrepare.set {
		c.Prepare = e.DatabasePrepare.value
	}
	if c.Embedded && c.Production {
		problems.add("STORAGE_DRIVER", "is embedded",
			"production needs DATABASE_URL: set it, and STORAGE_DRIVER to db")
	}
	if c.EmbeddedRepository != "" && absolute(c.EmbeddedRepository) == nil {
		problems.add("EMBEDDED_POSTGRES_REPOSITORY", "is not an absolute http(s) URL",
			"it is a Maven repository, such as https://maven.example.com/maven2")
	}
	// An unknown driver is a problem already.
	if driver != driverDB {
		if e.DatabaseReadURL != "" {
			problems.add(readURL, "is set, and the database is embedded", "unset it: the embedded one has no standby")
		}
		return
	}
	if e.DatabaseURL == "" {
		problems.add("DATABASE_URL", "is missing", urlShape)
		return
	}
	c.DatabaseURL, c.DatabaseWarnings = databaseURL("DATABASE_URL", e.DatabaseURL, problems)
	if e.DatabaseReadURL != "" {
		var warnings []string
		c.DatabaseReadURL, warnings = databaseURL(readURL, e.DatabaseReadURL, problems)
		c.DatabaseWarnings = append(c.DatabaseWarnings, warnings...)
	}
	if unread := unreadVariables(environ); len(unread) > 0 {
		c.DatabaseWarnings = append(c.DatabaseWarnings,
			strings.Join(unread, ", ")+" are not read: DATABASE_URL alone says how to connect")
	}
}

func (c *Config) cookie(e environment, problems *Problems) {
	c.Cookie = Cookie{Secure: c.Production, SameSite: http.SameSite(e.CookieSameSite),
		Domain: strings.TrimPrefix(e.CookieDomain, ".")}
	if e.CookieSecure.set {
		c.Cookie.Secure = e.CookieSecure.value
	}
	if !c.Cookie.Secure && c.Production && !strings.HasPrefix(c.AppURL, "http://") {
		problems.add("COOKIE_SECURE", "is false", "production sends the session cookie over https alone: unset it")
	}
	if !c.Cookie.Secure && c.Cookie.SameSite == http.SameSiteNoneMode {
		problems.add("COOKIE_SAMESITE", "is none without COOKIE_SECURE",
			"browsers drop such a cookie: use lax, or COOKIE_SECURE=true")
	}
	if c.Cookie.Domain == "" {
		return
	}
	if strings.ContainsAny(c.Cookie.Domain, " ;,/:@") {
		problems.add("COOKIE_DOMAIN", "is no domain",
			"it is a domain such as example.com; unset it to have the cookie for this host alone")
		return
	}
	if u, err := url.Parse(c.AppURL); err == nil && c.AppURL != "" && u.Hostname() != c.Cookie.Domain &&
		!strings.HasSuffix(u.Hostname(), "."+c.Cookie.Domain) {
		problems.add("COOKIE_DOMAIN", "does not contain the host of APP_URL",
			"browsers drop such a cookie: unset it, or use a parent domain of that host")
	}
}

func (c *Config) admin(problems *Problems) {
	const remedy = "set ADMIN_EMAIL and ADMIN_PASSWORD together, or neither"
	switch {
	case c.AdminEmail == "" && c.AdminPassword == "":
		return
	case c.AdminEmail == "":
		problems.add("ADMIN_EMAIL", "is missing", remedy)
	case c.AdminPassword == "":
		problems.add("ADMIN_PASSWORD", "is missing", remedy)
	}
	if n := utf8.RuneCountInString(c.AdminPassword); c.AdminPassword != "" && (n < 10 || len(c.AdminPassword) > 1024) {
		problems.add("ADMIN_PASSWORD", "is too short or too long",
			"it has 10 characters or more, and 1024 bytes at most")
	}
	if a, err := mail.ParseAddress(c.AdminEmail); c.AdminEmail != "" && (err != nil || a.Address != c.AdminEmail) {
		problems.add("ADMIN_EMAIL", "is no e-mail address", "it is an address such as admin@example.com")
	}
}

// perMinute is the default of BOOKINGS_PER_MINUTE.
const perMinute = 30

// limits sets the limits of bookings. By default an e-mail address has four times its
// limit over all networks, and a network without a limit of holds has none per minute. A
// burst is the limit of holds and one minute's bookings.
func (c *Config) limits(e environment, problems *Problems) {
	c.HoldsPerEmail, c.HoldsPerAddress = e.HoldsPerEmail.value, e.HoldsPerAddress.value
	c.HoldsPerEmailAnywhere = min(4*c.HoldsPerEmail, 1000)
	if e.HoldsAnywhere.set {
		c.HoldsPerEmailAnywhere = e.HoldsAnywhere.value
	}
	if c.HoldsPerEmailAnywhere > 0 && (c.HoldsPerEmail == 0 || c.HoldsPerEmailAnywhere < c.HoldsPerEmail) {
		problems.add("HOLDS_PER_EMAIL_ANYWHERE", "is less than HOLDS_PER_EMAIL",
			"it is that or more; 0 is no limit, and is needed where HOLDS_PER_EMAIL is 0")
	}
	if c.HoldsPerAddress > 0 {
		c.BookingsPerMinute = perMinute
	}
	if e.BookingsPerMinute.set {
		c.BookingsPerMinute = e.BookingsPerMinute.value
	}
	if c.BookingsPerMinute > 0 {
		c.BookingsAtOnce = c.HoldsPerAddress + c.BookingsPerMinute
	}
}

// appURL checks the public address. Plain http is allowed in production only for loopback
// addresses, because of cookies and owner tokens.
func appURL(raw string, production bool, problems *Problems) string {
	const name, shape = "APP_URL", "it is the public address without a path, such as https://booking.example.com"
	u := absolute(raw)
	switch {
	case u == nil:
		problems.add(name, "is not an absolute http(s) URL", shape)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		problems.add(name, "has more than scheme, host and port", shape)
	case production && u.Scheme == "http" && !loopback(u.Hostname()):
		problems.add(name, "is plain http", "production needs https; http is only for 127.0.0.1 and localhost")
	default:
		return u.Scheme + "://" + u.Host
	}
	return ""
}

// absolute parses an absolute http(s) URL, or returns nil.
func absolute(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil
	}
	return u
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (err == nil && addr.IsLoopback())
}

// bindHost checks the address to listen on, which must not be a host name.
func bindHost(raw string, production bool, problems *Problems) string {
	switch {
	case raw == "" && production:
		return "0.0.0.0"
	case raw == "" || raw == "localhost":
		return "127.0.0.1"
	case net.ParseIP(raw) == nil:
		problems.add("BIND_ADDRESS", "is no IP address", "it is the address to listen on: 127.0.0.1 for this "+
			"machine alone, 0.0.0.0 for all; unset it for the default")
		return ""
	}
	return raw
}

// Problem is one variable that is missing or malformed.
type Problem struct {
	// Name is the variable.
	Name string
	// Wrong is what is wrong with it. It never quotes a secret.
	Wrong  string
	Remedy string
}

// Problems is the error of [Load]: all problems.
type Problems []Problem

// Error lists the problems, one per line.
func (ps Problems) Error() string {
	var b strings.Builder
	if len(ps) == 1 {
		b.WriteString("configuration: 1 problem")
	} else {
		fmt.Fprintf(&b, "configuration: %d problems", len(ps))
	}
	for _, p := range ps {
		fmt.Fprintf(&b, "\n  %s %s: %s", p.Name, p.Wrong, p.Remedy)
	}
	return b.String()
}

func (ps *Problems) add(name, wrong, remedy string) {
	*ps = append(*ps, Problem{Name: name, Wrong: wrong, Remedy: remedy})
}

// malformed is the error of a variable's parser, without its name.
type malformed struct{ wrong, remedy string }

// Error implements error.
func (m malformed) Error() string { return m.wrong + ": " + m.remedy }

// only returns the problems of some variables.
func (ps Problems) only(names ...string) Problems {
	return slices.DeleteFunc(slices.Clone(ps), func(p Problem) bool { return !slices.Contains(names, p.Name) })
}
