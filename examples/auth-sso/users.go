package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/booking-platform/booking-platform/auth"
)

// The service's own table. People are invited by address; their first sign-on stores the
// subject, which the provider never changes.
const usersSQL = `
CREATE SCHEMA IF NOT EXISTS staff;
CREATE TABLE IF NOT EXISTS staff.users (
	id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	email    text NOT NULL UNIQUE,
	role     text NOT NULL,
	subject  text UNIQUE,
	disabled boolean NOT NULL DEFAULT false
);
INSERT INTO staff.users (email, role) VALUES ('ada@example.com', 'admin'), ('grace@example.com', 'member')
ON CONFLICT (email) DO NOTHING`

// users implements auth.Users on the table.
type users struct{ db *sql.DB }

// Authenticate refuses every password: these users sign on at the provider.
func (users) Authenticate(context.Context, string, string) (auth.User, error) {
	return auth.User{}, auth.ErrCredentials
}

// User is called for each request with a session.
func (u users) User(ctx context.Context, id string) (auth.User, error) {
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return auth.User{}, auth.ErrNotFound
	}
	user := auth.User{ID: id}
	err = u.db.QueryRowContext(ctx, `SELECT email, role FROM staff.users WHERE id = $1 AND NOT disabled`,
		number).Scan(&user.Email, &user.Role)
	if errors.Is(err, sql.ErrNoRows) {
		return auth.User{}, auth.ErrNotFound
	}
	return user, err
}

// signedOn returns the user's id, or sql.ErrNoRows. An address counts at the first
// sign-on only, if the provider has verified it.
func (u users) signedOn(ctx context.Context, who identity) (id string, err error) {
	err = u.db.QueryRowContext(ctx, `UPDATE staff.users SET subject = $1
		WHERE (subject = $1 OR (subject IS NULL AND email = $2 AND $3)) AND NOT disabled RETURNING id`,
		who.Subject, who.Email, who.EmailVerified).Scan(&id)
	return id, err
}

func (s *service) listUsers(w http.ResponseWriter, r *http.Request) {
	var list []byte
	err := s.users.db.QueryRowContext(r.Context(), `SELECT json_agg(json_build_object(
		'id', id, 'email', email, 'role', role, 'disabled', disabled) ORDER BY id) FROM staff.users`).Scan(&list)
	if err != nil {
		http.Error(w, "try again", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(list)
}

// disableUser ends the sessions in the same transaction, so that they stay ended when the
// user is enabled again.
func (s *service) disableUser(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	ended, err := s.disable(r.Context(), id)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		http.NotFound(w, r)
	case err != nil:
		http.Error(w, "try again", http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]int{"sessionsEnded": ended})
	}
}

func (s *service) disable(ctx context.Context, id int64) (ended int, err error) {
	tx, err := s.users.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	res, err := tx.ExecContext(ctx, `UPDATE staff.users SET disabled = true WHERE id = $1`, id)
	if err != nil {
		return 0, err
	}
	if n, err := res.RowsAffected(); n == 0 {
		return 0, errors.Join(err, auth.ErrNotFound)
	}
	ended, err = s.auth.EndAllTx(ctx, tx, strconv.FormatInt(id, 10))
	if err != nil {
		return 0, err
	}
	return ended, tx.Commit()
}
