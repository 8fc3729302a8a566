package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/migrations"
)

var userRoles = []string{auth.RoleAdmin, auth.RoleOps, auth.RoleReadOnly}

// user does `host user add`, `list`, `role`, `passwd`, `enable` and `disable`.
func user(ctx context.Context, args []string, environ map[string]string, std streams) error {
	if len(args) == 0 {
		return errMisunderstood
	}
	name, args := args[0], args[1:]
	change := func(n int, do func(*auth.UserTable) (auth.Account, error)) error {
		if len(args) != n || strings.HasPrefix(args[0], "-") {
			return errMisunderstood
		}
		return withUsers(ctx, environ, std, func(users *auth.UserTable) error {
			a, err := do(users)
			if errors.Is(err, auth.ErrNotFound) {
				return fmt.Errorf("there is no user %q", args[0])
			}
			if err != nil {
				return err
			}
			return printUsers(std.out, []auth.Account{a})
		})
	}
	switch name {
	case "add":
		return addUser(ctx, args, environ, std)
	case "list":
		if len(args) > 0 {
			return errMisunderstood
		}
		return withUsers(ctx, environ, std, func(users *auth.UserTable) error { return listUsers(ctx, users, std.out) })
	case "role":
		return change(2, func(users *auth.UserTable) (auth.Account, error) {
			if !slices.Contains(userRoles, args[1]) {
				return auth.Account{}, roleProblem(args[1])
			}
			return users.SetRole(ctx, args[0], args[1])
		})
	case "enable":
		return change(1, func(users *auth.UserTable) (auth.Account, error) { return users.Enable(ctx, args[0]) })
	case "disable":
		return change(1, func(users *auth.UserTable) (auth.Account, error) { return users.Disable(ctx, args[0]) })
	case "passwd":
		return change(1, func(users *auth.UserTable) (auth.Account, error) {
			password, err := readPassword(std)
			if err != nil {
				return auth.Account{}, err
			}
			return users.SetPassword(ctx, args[0], password)
		})
	}
	return errMisunderstood
}

func roleProblem(role string) error {
	return fmt.Errorf("%q is no role: %s", role, strings.Join(userRoles, ", "))
}

func addUser(ctx context.Context, args []string, environ map[string]string, std streams) error {
	flags := quietFlags("add")
	role := flags.String("role", auth.RoleReadOnly, "")
	if err := flags.Parse(args); err != nil || flags.NArg() != 1 {
		return errMisunderstood
	}
	if !slices.Contains(userRoles, *role) {
		return roleProblem(*role)
	}
	return withUsers(ctx, environ, std, func(users *auth.UserTable) error {
		password, err := readPassword(std)
		if err != nil {
			return err
		}
		a, err := users.Add(ctx, flags.Arg(0), password, *role)
		if errors.Is(err, auth.ErrExists) {
			return fmt.Errorf("there is a user %q already", flags.Arg(0))
		}
		if err != nil {
			return err
		}
		return printUsers(std.out, []auth.Account{a})
	})
}

// readPassword asks for a password twice on a terminal, which does not show it, and reads
// the first line of anything else. It is never an argument: every user of the machine
// sees those.
func readPassword(std streams) (string, error) {
	if file, ok := std.in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		first, err := askPassword(file, std.err, "Password: ")
		if err != nil {
			return "", err
		}
		again, err := askPassword(file, std.err, "Once more: ")
		if err != nil {
			return "", err
		}
		if first != again {
			return "", errors.New("the two passwords are not the same")
		}
		return first, nil
	}
	line, err := bufio.NewReader(io.LimitReader(std.in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func askPassword(terminal *os.File, out io.Writer, question string) (string, error) {
	fmt.Fprint(out, question)
	answer, err := term.ReadPassword(int(terminal.Fd()))
	fmt.Fprintln(out)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(answer), nil
}

// withUsers opens the database that `host migrate` opens, and does something with its
// users.
func withUsers(ctx context.Context, environ map[string]string, std streams, do func(*auth.UserTable) error) error {
	return withStorage(ctx, environ, std, migrations.Auth, func(s *storage) error {
		users, err := auth.NewUsers(s.db, auth.UsersOptions{Logger: newLogger(std.err)})
		if err != nil {
			return err
		}
		return do(users)
	})
}

func listUsers(ctx context.Context, users *auth.UserTable, out io.Writer) error {
	var all []auth.Account
	for after := ""; ; after = all[len(all)-1].Email {
		page, err := users.List(ctx, after, 500)
		if err != nil {
			return err
		}
		if all = append(all, page...); len(page) < 500 {
			return printUsers(out, all)
		}
	}
}

func printUsers(out io.Writer, users []auth.Account) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "EMAIL\tROLE\tSTATE\tSINCE")
	for _, u := range users {
		state := "active"
		if !u.Active {
			state = "disabled"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", u.Email, u.Role, state, u.UpdatedAt.Format("2006-01-02 15:04Z"))
	}
	return w.Flush()
}
