package config

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/lib/pq"
)

// parameters are those of the URL in variable. lib/pq sends unknown ones to the server, which
// then refuses the connection.
type parameters struct {
	variable string
	query    url.Values
	problems *Problems
	leftOut  []string // Names, sorted.
	notes    []string // What is lost with those.
}

// driverParameters are the parameters of lib/pq.
var driverParameters = func() []string {
	names := []string{"database"}
	config := reflect.TypeFor[pq.Config]()
	for i := range config.NumField() {
		if name := config.Field(i).Tag.Get("postgres"); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}()

// harmless are parameters of libpq and other tools that can be left out.
var harmless = []string{
	// libpq: TCP keepalives are sent anyway, every 15 s.
	"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
	"sslcompression", "sslcertmode", "sslkeylogfile", "gsslib", "gssdelegation", "authtype", "tty",
	// Prisma.
	"pgbouncer", "schema", "connection_limit", "pool_timeout", "statement_cache_size", "socket_timeout",
	"single_use_connections", "max_connection_lifetime", "max_idle_connection_lifetime",
	// node-postgres, Supabase and Vercel.
	"uselibpqcompat", "supa", "workaround", "pool_mode",
	// pgx.
	"pool_max_conns", "pool_min_conns", "pool_min_idle_conns", "pool_max_conn_lifetime",
	"pool_max_conn_lifetime_jitter",
	"pool_max_conn_idle_time", "pool_health_check_period", "default_query_exec_mode", "statement_cache_capacity",
	"statement_cache_mode", "description_cache_capacity", "prefer_simple_protocol",
	// Rails, Django, Ecto, SQLAlchemy, asyncpg.
	"adapter", "pool", "pool_size", "prepared_statements", "reaping_frequency", "checkout_timeout", "conn_max_age",
	"conn_health_checks", "prepare_threshold", "prepared_statement_cache_size", "command_timeout",
	// JDBC.
	"preparethreshold", "rewritebatchedinserts", "tcpkeepalive", "logintimeout", "sockettimeout", "currentschema",
}

// unkept are parameters for which lib/pq has no equivalent, by remedy.
var unkept = map[string]string{
	"require_auth":     "the driver cannot restrict the method of authentication: take it out",
	"requirepeer":      "the driver cannot check the server's user: take it out",
	"sslcrl":           "the driver reads no revocation lists: take it out",
	"sslcrldir":        "the driver reads no revocation lists: take it out",
	"sslpassword":      "the driver reads no encrypted key: decrypt it, and name the file in sslkey",
	"sslidentity":      "the driver reads no PKCS #12: convert it to PEM, and name the files in sslcert and sslkey",
	"service":          "DATABASE_URL alone says where the database is: write out what the service file has",
	"servicefile":      "DATABASE_URL alone says where the database is: write out what the service file has",
	"scram_client_key": "the driver needs the password itself: write it into the URL",
	"scram_server_key": "the driver needs the password itself: write it into the URL",
}

// settle keeps, translates or leaves out each parameter, or reports it as a problem.
func (p *parameters) settle() {
	names := make([]string, 0, len(p.query))
	for name := range p.query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if len(p.query[name]) > 1 {
			p.problem(name, "several times", "write it once")
			continue
		}
		// As in libpq, an empty parameter is absent.
		if p.query.Get(name) == "" {
			delete(p.query, name)
			continue
		}
		lower := strings.ToLower(name)
		if lower != name && slices.Contains(driverParameters, lower) {
			p.rename(name, lower)
			name = lower
		}
		p.one(name, lower, p.query.Get(name))
	}
	slices.Sort(p.leftOut)
}

func (p *parameters) one(name, lower, value string) {
	remedy, cannot := unkept[lower]
	switch {
	case cannot || strings.HasPrefix(lower, "oauth_"):
		if remedy == "" {
			remedy = "the driver knows no OAuth: use a password or a certificate"
		}
		p.problem(name, "", remedy)
	case slices.Contains(harmless, lower) || strings.HasPrefix(lower, "x-"): // golang-migrate's begin with x-.
		p.leaveOut(name)
	default:
		p.encryption(name, lower, value)
	}
}

// encryption handles parameters of TLS and GSSAPI.
func (p *parameters) encryption(name, lower, value string) {
	switch lower {
	case "sslmode":
		// The name in node-postgres.
		if value == "no-verify" {
			p.query.Set(name, "require")
		}
	case "ssl", "ssl_require", "requiressl":
		delete(p.query, name)
		p.ssl(name, value)
	case "sslaccept":
		delete(p.query, name)
		if value == "strict" {
			p.demand("verify-full")
		} else {
			p.demand("require")
		}
	case "sslnegotiation":
		// Not possible with lib/pq, which sends no ALPN.
		if value == "direct" {
			p.demand("require")
			p.leaveOut(name)
		}
	case "channel_binding":
		p.leaveOut(name)
		if value == "require" {
			p.notes = append(p.notes,
				"channel_binding=require: the driver cannot bind the password to the TLS connection; "+
					"sslmode=verify-full makes sure of the server")
		}
	case "gssencmode":
		if value == "require" {
			p.problem(name, "", "the driver knows no encryption by GSSAPI: use TLS, sslmode=verify-full")
			return
		}
		p.leaveOut(name)
	default:
		p.other(name, lower, value)
	}
}

// ssl translates the parameter ssl of other drivers: a boolean or a mode.
func (p *parameters) ssl(name, value string) {
	switch strings.ToLower(value) {
	case "true", "1", "yes", "on", "require", "no-verify":
		p.demand("require")
	case "verify-ca", "verify-full":
		p.demand(strings.ToLower(value))
	case "false", "0", "no", "off", "disable":
		if name == "ssl" && !p.query.Has("sslmode") {
			p.query.Set("sslmode", "disable")
		}
	case "prefer", "allow":
	default:
		p.problem(name, "", "write sslmode=require or sslmode=verify-full in its place")
	}
}

// strictness orders the modes of TLS.
var strictness = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}

// demand raises sslmode to at least mode.
func (p *parameters) demand(mode string) {
	if p.query.Get("sslrootcert") == "system" {
		return // Implies verify-full.
	}
	if said := p.query.Get("sslmode"); said == "" || slices.Contains(strictness, said) &&
		slices.Index(strictness, said) < slices.Index(strictness, mode) {
		p.query.Set("sslmode", mode)
	}
}

func (p *parameters) other(name, lower, value string) {
	utf8 := slices.Contains([]string{"utf8", "utf-8", "unicode"}, strings.ToLower(value))
	switch lower {
	case "applicationname":
		p.rename(name, "application_name")
	case "client_encoding":
		// auto is the locale's encoding in libpq.
		if value == "auto" || utf8 {
			p.query.Set(name, "UTF8")
		}
	case "encoding":
		if !utf8 {
			p.problem(name, "", "the driver speaks UTF-8 alone: take it out")
			return
		}
		p.leaveOut(name)
	case "replication":
		if !slices.Contains([]string{"false", "0", "no", "off"}, value) {
			p.problem(name, "", "a connection for replication runs no transactions: take it out")
			return
		}
		p.leaveOut(name)
	}
}

func (p *parameters) problem(name, how, remedy string) {
	what := "has the parameter " + name
	if how != "" {
		what += " " + how
	}
	p.problems.add(p.variable, what, remedy)
}

func (p *parameters) leaveOut(name string) {
	delete(p.query, name)
	p.leftOut = append(p.leftOut, name)
}

func (p *parameters) rename(from, to string) {
	if !p.query.Has(to) {
		p.query[to] = p.query[from]
	}
	delete(p.query, from)
}

// warning names what was left out, or is "".
func (p *parameters) warning() string {
	if len(p.leftOut) == 0 {
		return ""
	}
	text := fmt.Sprintf("%s has parameters that the driver does not know and that are left out: %s",
		p.variable, strings.Join(p.leftOut, ", "))
	for _, note := range p.notes {
		text += "; " + note
	}
	return text
}
