// Shop is the program behind examples/shop: a small web shop in five services,
// of which each pod runs one.
//
//	front      what customers reach; asks catalogue and checkout
//	catalogue  what there is to buy, and how often it was sold
//	checkout   takes orders and has the store keep them
//	store      keeps orders on its disk; its members copy them to each other
//	cache      keeps answers for a while
//	report     counts the orders once and writes a ConfigMap
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}

// run is one service until ctx is done.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	listen := flags.String("listen", ":8080", "address to serve on")
	linger := flags.Duration("linger", 2*time.Second, "after SIGTERM: serve on until no request has come for so long")
	data := flags.String("data", "/data", "store, cache: folder to keep things in")
	products := flags.String("products", "/etc/shop/products.json", "catalogue: file of what there is to buy")
	members := flags.String("store", "", "catalogue, checkout, store: addresses of the store's members, with commas between them")
	caches := flags.String("cache", "", "catalogue: addresses of the cache's members")
	if len(args) == 0 {
		return fmt.Errorf("which service? shop front|catalogue|checkout|store|cache|report [flags]")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	key := os.Getenv("STORE_KEY")
	var handler http.Handler
	switch args[0] {
	case "front":
		handler = newFront("http://catalogue", "http://checkout")
	case "catalogue":
		c, err := newCatalogue(*products, storeClient{list(*members), key}, list(*caches))
		if err != nil {
			return err
		}
		handler = c
	case "checkout":
		handler = newCheckout("http://catalogue", storeClient{list(*members), key})
	case "store":
		name, err := os.Hostname()
		if err != nil {
			return err
		}
		s, err := openStore(filepath.Join(*data, "orders"), key, others(list(*members), name))
		if err != nil {
			return err
		}
		defer s.close()
		go s.follow(ctx)
		handler = s.handler()
	case "cache":
		handler = newCache(*data)
	case "report":
		return report(ctx, "http://checkout", inCluster())
	default:
		return fmt.Errorf("there is no service %q", args[0])
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	return serve(ctx, listener, *linger, handler)
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}

// others are the members but for the one of that name.
func others(members []string, name string) []string {
	var out []string
	for _, m := range members {
		if !strings.HasPrefix(m, "http://"+name+".") {
			out = append(out, m)
		}
	}
	return out
}
