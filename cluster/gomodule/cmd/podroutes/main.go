// Command podroutes keeps one route a peer node: that node's pod addresses via
// that node's own address. With the ptp and host-local plugins of each node it
// is the whole pod network of a kind cluster, whose nodes share one link.
//
// It watches the Node objects, so a node that comes back with another address
// (a restarted container) is reached again as soon as its kubelet says so.
//
// Usage: NODE_NAME=... POD_SUBNET=10.244.0.0/16 podroutes
package main

import (
	"context"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Every object is handled again after this time: it mends routes that somebody
// else removed, which no event tells of.
const resyncEvery = 30 * time.Second

func main() {
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	self, podSubnet := mustEnv("NODE_NAME"), mustEnv("POD_SUBNET")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()

	if err := masquerade(podSubnet); err != nil {
		log.Fatalf("masquerade rule for %s: %v", podSubnet, err)
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		log.Fatalf("in-cluster configuration: %v", err)
	}
	client, err := typedcorev1.NewForConfig(config)
	if err != nil {
		log.Fatalf("client: %v", err)
	}
	nodes := cache.NewListWatchFromClient(client.RESTClient(), "nodes", metav1.NamespaceAll, fields.Everything())
	_, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: nodes,
		ObjectType:    &corev1.Node{},
		ResyncPeriod:  resyncEvery,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { ensureRoute(self, object) },
			UpdateFunc: func(_, object any) { ensureRoute(self, object) },
			DeleteFunc: func(object any) { dropRoute(self, object) },
		},
	})
	controller.RunWithContext(ctx)
}

func mustEnv(name string) string {
	value := os.Getenv(name)
	if value == "" {
		log.Fatalf("set %s", name)
	}
	return value
}

// masquerade hides pod addresses from everything outside the pod network.
func masquerade(podSubnet string) error {
	rule := strings.Fields("POSTROUTING -s " + podSubnet + " ! -d " + podSubnet + " -j MASQUERADE")
	check := append([]string{"-w", "-t", "nat", "-C"}, rule...)
	if exec.Command("iptables", check...).Run() == nil {
		return nil
	}
	add := append([]string{"-w", "-t", "nat", "-A"}, rule...)
	out, err := exec.Command("iptables", add...).CombinedOutput()
	if err != nil {
		log.Print(string(out))
	}
	return err
}

func ensureRoute(self string, object any) {
	node, ok := object.(*corev1.Node)
	if !ok || node.Name == self {
		return
	}
	route, ok := routeTo(node)
	if !ok {
		return // the controller manager has not given it pod addresses yet
	}
	if same(route) {
		return
	}
	if err := netlink.RouteReplace(route); err != nil {
		log.Printf("route to %s: %v via %v: %v", node.Name, route.Dst, route.Gw, err)
		return
	}
	log.Printf("route to %s: %v via %v", node.Name, route.Dst, route.Gw)
}

func dropRoute(self string, object any) {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	node, ok := object.(*corev1.Node)
	if !ok || node.Name == self {
		return
	}
	if route, ok := routeTo(node); ok {
		log.Printf("node %s is gone: %v", node.Name, netlink.RouteDel(route))
	}
}

// routeTo builds the route to a node's pods, if the node has both addresses.
func routeTo(node *corev1.Node) (*netlink.Route, bool) {
	_, pods, err := net.ParseCIDR(node.Spec.PodCIDR)
	if err != nil {
		return nil, false
	}
	for _, address := range node.Status.Addresses {
		if address.Type != corev1.NodeInternalIP {
			continue
		}
		if gateway := net.ParseIP(address.Address); gateway != nil {
			return &netlink.Route{Dst: pods, Gw: gateway}, true
		}
	}
	return nil, false
}

// same says whether the kernel has the route already, so that a resync is quiet.
func same(route *netlink.Route) bool {
	found, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, route, netlink.RT_FILTER_DST|netlink.RT_FILTER_GW)
	return err == nil && len(found) > 0
}
