// Package shop is a small web application as teams write them: users, orders,
// comments, a log-in that sets a cookie, an admin page. It has no security code at
// all. It checks no token and no role, it compares no origin, it sets no security
// header, it counts nothing, it prints comments into its pages as they were written,
// and when it fails it shows its stack. It believes X-User-Id, because behind the
// sidecar nobody else can set it.
//
// The tests and the demo put Envoy and the sidecar in front of it. Alone it is as
// open as it looks, and the tests use that too: an attack that does not work on the
// bare shop proves nothing about the guarded one.
package shop

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
)

// Shop is the application, an http.Handler. The zero value is an empty shop; it may
// be filled until it serves.
type Shop struct {
	// Login is the issuer's answer to a name and a password: a token for the session
	// cookie. Nil knows nobody.
	Login func(user, password string) (token string, ok bool)

	Users    []User
	Orders   []Order
	Comments []Comment

	once sync.Once
	mux  *http.ServeMux
	mu   sync.Mutex // guards Orders and Comments once the shop serves
}

// User is a customer or one of the staff.
type User struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// Order is what somebody bought. Its ID is a UUID.
type Order struct {
	ID    string `json:"id"`
	Owner string `json:"owner"`
	Item  string `json:"item"`
}

// Comment is what a visitor wrote, as it was written.
type Comment struct {
	Author string `json:"author"`
	Text   string `json:"text"`
}

// New is a shop with a few users, orders and a comment.
func New() *Shop {
	return &Shop{
		Users: []User{{"alice", "alice@shop.example"}, {"bob", "bob@shop.example"}, {"ada", "ada@shop.example"}},
		Orders: []Order{
			{"0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e", "alice", "pen"},
			{"5f3c9a52-7f2e-4a53-8a65-2f1f7f0e9b11", "bob", "paper"},
		},
		Comments: []Comment{{"bob", "Good paper, thank you."}},
	}
}

// ServeHTTP implements http.Handler.
func (s *Shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.once.Do(s.routes)
	w.Header().Set("X-Powered-By", "Shop 1.2.3")
	s.mux.ServeHTTP(w, r)
}

func (s *Shop) routes() {
	s.mux = http.NewServeMux()
	for pattern, handle := range map[string]http.HandlerFunc{
		"GET /{$}":             s.home,
		"GET /app.js":          s.script,
		"GET /health":          s.health,
		"GET /login":           s.loginPage,
		"POST /login":          s.login,
		"POST /logout":         s.logout,
		"GET /catalogue":       s.catalogue,
		"GET /orders":          s.listOrders,
		"POST /orders":         s.createOrder,
		"GET /orders/{id}":     s.readOrder,
		"DELETE /orders/{id}":  s.cancelOrder,
		"GET /users/{name}":    s.readUser,
		"GET /comments":        s.commentsPage,
		"POST /comments":       s.addComment,
		"GET /admin":           s.adminPage,
		"POST /admin/comments": s.clearComments,
		"GET /report":          s.report,
	} {
		s.mux.HandleFunc(pattern, handle)
	}
}

func (s *Shop) health(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (s *Shop) catalogue(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, []string{"ink", "paper", "pen"})
}

func (s *Shop) listOrders(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := []Order{}
	for _, o := range s.Orders {
		if o.Owner == caller(r) {
			mine = append(mine, o)
		}
	}
	answer(w, http.StatusOK, mine)
}

// createOrder takes JSON from scripts and a form from pages.
func (s *Shop) createOrder(w http.ResponseWriter, r *http.Request) {
	order := Order{Item: r.PostFormValue("item")}
	if r.Header.Get("Content-Type") == "application/json" {
		if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
			answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
	}
	order.ID, order.Owner = newID(), caller(r)
	s.mu.Lock()
	s.Orders = append(s.Orders, order)
	s.mu.Unlock()
	answer(w, http.StatusCreated, order)
}

func (s *Shop) readOrder(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.Orders, func(o Order) bool { return o.ID == r.PathValue("id") })
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	answer(w, http.StatusOK, s.Orders[i])
}

func (s *Shop) cancelOrder(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Orders = slices.DeleteFunc(s.Orders, func(o Order) bool { return o.ID == r.PathValue("id") })
	w.WriteHeader(http.StatusNoContent)
}

func (s *Shop) readUser(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(s.Users, func(u User) bool { return u.Name == r.PathValue("name") })
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	answer(w, http.StatusOK, s.Users[i])
}

// caller is who the sidecar says is asking.
func caller(r *http.Request) string { return r.Header.Get("X-User-Id") }

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
