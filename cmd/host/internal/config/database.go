package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/lib/pq"
)

// readURL is the variable with the address of a standby.
const readURL = "DATABASE_READ_URL"

const urlShape = "it has the form postgres://user:password@host:5432/database, with %40 for @, %2F for / and %23 " +
	"for # in a password"

// databaseURL prepares the URL for lib/pq. Parameters of libpq and other tools are
// translated, left out with a warning, or a problem, see [parameters]. It adds, if
// absent:
//
//   - sslmode=prefer, as psql does; lib/pq's default is require.
//   - binary_parameters=yes: one round trip fewer per statement, also behind a pooler in
//     transaction mode.
//   - connect_timeout=5.
//   - target_session_attrs=read-write if there are several hosts: the primary.
//
// DATABASE_READ_URL is the same, except that it leads to a standby.
//
// Problems never quote the URL, which has the password.
func databaseURL(name, raw string, problems *Problems) (complete string, warnings []string) {
	if several(raw) {
		problems.add(name, "names several hosts before the path", "write them as "+
			"postgres://user:password@/database?host=a,b&port=5432,5432&target_session_attrs=read-write")
		return "", nil
	}
	u, err := url.Parse(socketHost(raw))
	if err != nil || u.Opaque != "" || u.Fragment != "" {
		problems.add(name, "is not a URL", urlShape)
		return "", nil
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		problems.add(name, "does not begin with postgres://", urlShape)
		return "", nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		problems.add(name, "has a malformed query", urlShape)
		return "", nil
	}
	before := len(*problems)
	params := parameters{variable: name, query: query, problems: problems}
	params.settle()
	if len(*problems) > before {
		return "", nil
	}
	// sslrootcert=system implies verify-full and conflicts with prefer.
	if !query.Has("sslmode") && query.Get("sslrootcert") != "system" {
		query.Set("sslmode", "prefer")
	}
	if !query.Has("binary_parameters") {
		query.Set("binary_parameters", "yes")
	}
	if !query.Has("connect_timeout") {
		query.Set("connect_timeout", "5")
	}
	u.RawQuery = query.Encode()
	cfg, err := pq.NewConfig(u.String())
	if err != nil {
		problems.add(name, "is refused by the driver ("+redact(err.Error(), u)+")", urlShape)
		return "", nil
	}
	switch attrs := cfg.TargetSessionAttrs; {
	case name == readURL && (attrs == pq.TargetSessionAttrsReadWrite || attrs == pq.TargetSessionAttrsPrimary):
		problems.add(name, "has target_session_attrs="+string(attrs)+", which leads to the primary", "make it standby")
		return "", nil
	case name == readURL && (attrs != "" || len(cfg.Multi) == 0):
	case name == readURL:
		query.Set("target_session_attrs", string(pq.TargetSessionAttrsStandby))
		u.RawQuery = query.Encode()
	case attrs == pq.TargetSessionAttrsReadWrite || attrs == pq.TargetSessionAttrsPrimary:
	case len(cfg.Multi) == 0 && (attrs == "" || attrs == pq.TargetSessionAttrsAny):
	case attrs == "":
		query.Set("target_session_attrs", string(pq.TargetSessionAttrsReadWrite))
		u.RawQuery = query.Encode()
	default:
		problems.add(name, "has target_session_attrs="+string(attrs)+
			", which leads to servers that cannot be written to", "make it read-write")
		return "", nil
	}
	if warning := params.warning(); warning != "" {
		warnings = append(warnings, warning)
	}
	return u.String(), warnings
}

// socketURL matches a URL whose host is the folder of a socket with escaped slashes, as
// libpq and Google Cloud write it; Go's parser refuses it.
var socketURL = regexp.MustCompile(`^(postgres(?:ql)?://(?:[^/?#@]*@)?)(%2[Ff][^/?#:@]*)((?::\d+)?/[^?#]*)(?:\?([^#]*))?$`)

// socketHost moves a socket's folder to the parameter host.
func socketHost(raw string) string {
	parts := socketURL.FindStringSubmatch(raw)
	if parts == nil {
		return raw
	}
	query := "host=" + parts[2]
	if parts[4] != "" {
		query += "&" + parts[4]
	}
	return parts[1] + parts[3] + "?" + query
}

// unreadVariables returns libpq's variables that are set. They are not read, so that the
// environment of a shell cannot change the connection unnoticed.
func unreadVariables(environ map[string]string) []string {
	var names []string
	config := reflect.TypeFor[pq.Config]()
	for i := range config.NumField() {
		name := config.Field(i).Tag.Get("env")
		if strings.HasPrefix(name, "PG") && strings.TrimSpace(environ[name]) != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// several reports whether the part between // and the path has a comma, which works in
// psql only.
func several(raw string) bool {
	_, rest, found := strings.Cut(raw, "://")
	if !found {
		return false
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return strings.Contains(rest[strings.LastIndex(rest, "@")+1:], ",")
}

// redact removes the password from a message of the driver.
func redact(message string, u *url.URL) string {
	password, ok := u.User.Password()
	if !ok || password == "" {
		return message
	}
	return strings.ReplaceAll(strings.ReplaceAll(message, password, "xxxxx"), url.QueryEscape(password), "xxxxx")
}

// Refusal reports whether err, of a connection to DATABASE_URL, is permanent, and
// describes it: a wrong password, for example, but not a server that is down or starting.
// With several hosts all of them must have refused.
func Refusal(err error) (Problem, bool) {
	for e := err; e != nil; e = errors.Unwrap(e) {
		several, ok := e.(interface{ Unwrap() []error })
		if !ok {
			continue
		}
		var first Problem
		for i, one := range several.Unwrap() {
			p, refused := Refusal(one)
			if !refused {
				return Problem{}, false
			}
			if i == 0 {
				first = p
			}
		}
		return first, first.Name != ""
	}
	if err == nil {
		return Problem{}, false
	}
	wrong, remedy := refusedByServer(err)
	if wrong == "" {
		wrong, remedy = refusedByDriver(err)
	}
	return Problem{Name: "DATABASE_URL", Wrong: wrong, Remedy: remedy}, wrong != ""
}

var (
	quoted = regexp.MustCompile(`"([^"]*)"`)
	// unsupported is the error of PgBouncer.
	unsupported = regexp.MustCompile(`unsupported startup parameter(?: in options)?: (\S+)`)
)

func refusedByServer(err error) (wrong, remedy string) {
	var answer *pq.Error
	if !errors.As(err, &answer) {
		return "", ""
	}
	said := " (" + answer.Message + ", SQLSTATE " + string(answer.Code) + ")"
	named := ""
	if m := quoted.FindStringSubmatch(answer.Message); m != nil {
		named = " " + m[1]
	}
	switch answer.Code {
	case "28P01":
		return "is refused: the password is wrong, or there is no such role" + said,
			"write the role's name and password, with %40 for @, %2F for / and %23 for #"
	case "28000":
		return "is refused: the server does not accept this role from here" + said, "see that the role exists and " +
			"may log in, that pg_hba.conf has a line for this machine, and that sslmode suits it"
	case "3D000":
		return "names the database" + named + ", which does not exist" + said,
			"create it, or name another one after the last /"
	case "42501":
		return "is refused: the role may not connect or not set a parameter" + said,
			"grant CONNECT on the database, or take the parameter out"
	case "42704":
		return "has the parameter" + named + ", which neither this program nor the server knows" + said, "take it out"
	case "22023", "55P02", "42601":
		return "has a parameter that the server does not take" + said, "correct it, or take it out"
	case "0A000":
		return "asks for what the server does not have" + said, "take min_protocol_version and max_protocol_version out"
	case "08P01":
		if m := unsupported.FindStringSubmatch(answer.Message); m != nil {
			return "has the parameter " + m[1] + ", which the pooler does not take" + said,
				"take it out, or have the pooler ignore it (ignore_startup_parameters)"
		}
	}
	return "", ""
}

// refusedByDriver recognises errors of TLS, files and authentication.
func refusedByDriver(err error) (wrong, remedy string) {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
		alert        tls.AlertError
		record       tls.RecordHeaderError
		file         *fs.PathError
	)
	expired := errors.As(err, &invalid) && invalid.Reason == x509.Expired
	switch said := " (" + err.Error() + ")"; {
	case errors.Is(err, pq.ErrSSLNotSupported):
		return "demands TLS, and the server has none",
			"switch TLS on at the server; on a network of your own that is private, write sslmode=disable"
	case expired:
		return "leads to a server whose certificate has expired or is not valid yet" + said,
			"renew the server's certificate, or set this machine's clock"
	case errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &hostname) ||
		errors.As(err, &invalid):
		return "demands a certificate that can be verified, and the server's cannot" + said,
			"name the authority's certificate in sslrootcert, sslrootcert=system for a public one, and the server " +
				"as the certificate does"
	case errors.As(err, &alert) || errors.As(err, &record):
		return "demands TLS, which the server refuses" + said,
			"see whether it wants a certificate (sslcert, sslkey) or another version of TLS"
	case errors.Is(err, pq.ErrSSLKeyHasWorldPermissions) || errors.Is(err, pq.ErrSSLKeyUnknownOwnership):
		return "names a key that others may read" + said, "chmod 600, or 640 where it is root's"
	case errors.As(err, &file):
		return "names a file that cannot be read" + said,
			"see that sslrootcert, sslcert and sslkey are there and readable"
	case strings.Contains(err.Error(), "pq: unsupported authentication method") ||
		strings.Contains(err.Error(), "pq: unknown authentication response") ||
		strings.Contains(err.Error(), "pq: kerberos error"):
		return "leads to a server that wants a method of authentication which the driver does not know" + said,
			"let the role in by scram-sha-256 (pg_hba.conf)"
	}
	return "", ""
}
