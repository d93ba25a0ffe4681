package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
)

// cluster is three members with one dead ingester.
func cluster() *clienttest.Cluster {
	c, err := clienttest.Start(context.Background(), clienttest.Config{Label: "demo"})
	if err != nil {
		log.Fatal(err)
	}
	now := time.Now()
	d := clienttest.Edit(clienttest.Ring("ingester", 4, 32, now), "ingester-2", clienttest.Aged(now, time.Hour))
	if err := c.Put("collectors/ring", d); err != nil {
		log.Fatal(err)
	}
	return c
}

// Ask one member for its view.
func ExampleClient_Snapshot() {
	running := cluster()
	defer running.Close()

	c, err := client.New(client.Config{Seeds: running.Seeds(), Label: "demo"})
	if err != nil {
		log.Fatal(err)
	}
	snap, err := c.Snapshot(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(snap.Verdict, snap.Problem)
	ring, _ := snap.Ring("ingester")
	fmt.Printf("%d of %d healthy, %d more may fail before a write does\n", ring.HealthyCount, len(ring.Instances), ring.Write.Margin)
	// Output:
	// WARNING ingester: 1 of 4 members unhealthy: ingester-2
	// 3 of 4 healthy, 0 more may fail before a write does
}

// Ask all members, and compare what they see.
func ExampleClient_Views() {
	running := cluster()
	defer running.Close()

	c, err := client.New(client.Config{Seeds: running.Seeds(), Label: "demo"})
	if err != nil {
		log.Fatal(err)
	}
	views, err := c.Views(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range client.Agreements(views) {
		fmt.Println(a.Name, a.Agreed())
	}
	// Output: ingester true
}

// Remove a dead member: plan, look, apply.
func ExampleClient_PlanForget() {
	running := cluster()
	defer running.Close()

	c, err := client.New(client.Config{Seeds: running.Seeds(), Label: "demo"})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	plan, err := c.PlanForget(ctx, client.ForgetRequest{Ring: "ingester", IDs: []string{"ingester-2"}})
	if err != nil {
		log.Fatal(err)
	}
	if err := plan.Allowed(false); err != nil {
		log.Fatal(err)
	}
	fmt.Println("needs:", plan.Danger)
	res, err := c.Apply(ctx, plan, client.ApplyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d of %d members agree\n", res.Converged, res.Total)
	// Output:
	// needs: yes
	// 3 of 3 members agree
}

// May these two stop together?
func ExampleCanStop() {
	running := cluster()
	defer running.Close()

	c, err := client.New(client.Config{Seeds: running.Seeds(), Label: "demo"})
	if err != nil {
		log.Fatal(err)
	}
	views, err := c.Views(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	answer, err := client.CanStop(views, client.StopRequest{IDs: []string{"ingester-0", "ingester-2"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.OK, answer.Batch)
	// Output: false [ingester-2]
}
