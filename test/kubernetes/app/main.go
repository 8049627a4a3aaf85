// App is what runs in the pods of the cluster tests: an application that knows
// nothing of security, and a client that others can be started as.
//
//	app serve ADDRESS   answer with who the caller is said to be, and count
//	app pause           wait until told to stop
//	app get URL         print the status of one answer
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	switch os.Args[1] {
	case "serve":
		serve(ctx, os.Args[2])
	case "pause":
		<-ctx.Done()
	case "get":
		get(ctx, os.Args[2])
	default:
		log.Panicf("app: what is %q?", os.Args[1])
	}
}

func serve(ctx context.Context, address string) {
	var served atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "well") })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		n := served.Add(1)
		w.Header().Set("X-App", "reached")
		fmt.Fprintf(w, `{"user": %q, "served": %d}`+"\n", r.Header.Get("X-User-Id"), n)
	})
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		// What is under way is answered first.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			log.Print("app: ", err)
		}
	}()
	log.Print("app: serving on ", address)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Panic("app: ", err)
	}
}

func get(ctx context.Context, url string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		log.Panic("app: ", err)
	}
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		fmt.Println("no answer:", err)
		return
	}
	defer response.Body.Close()
	fmt.Println(response.StatusCode, response.Header.Get("X-App"))
}
