package query_test
import ("testing";"context";"math/rand";"os";"strings";"github.com/ringctl/ringctl/engine/query";"github.com/ringctl/ringctl/engine/query/querytest";"github.com/ringctl/ringctl/engine/traceql")
func TestDbg(t *testing.T){
 seed:=int64(3)
 r := rand.New(rand.NewSource(seed))
 otlp := querytest.Random(seed, 30)
 twin,_ := querytest.NewTwin(otlp)
 sources := spread(t, r, otlp)
 for _,text:=range strings.Split(os.Getenv("Q"),"\n"){
  q,err:=traceql.Parse(text); if err!=nil {t.Fatal(err)}
  want,_:=twin.Search(q)
  res,err:=query.Search(context.Background(), sources, query.SearchRequest{Query:text,Limit:10000})
  if err!=nil{t.Fatal(err)}
  got:=canonical(res)
  t.Log(text, got==want)
  if got!=want {
   g:=map[string]bool{}; for _,l:=range strings.Split(got,"\n"){g[l]=true}
   w:=map[string]bool{}; for _,l:=range strings.Split(want,"\n"){w[l]=true; if !g[l]{t.Log("want",l)}}
   for l:=range g {if !w[l]{t.Log("got",l)}}
  }
 }
}
