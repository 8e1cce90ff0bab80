import './child/without-float16-array.ts'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { readFile } from 'node:fs/promises'
import { compileGeneration, describeDecoder } from '#decoder'
import { decodeModel } from '#onnx'
import { composeFeeds, splitFetches } from './child/step-batch.ts'
import { createGenerationGraph } from './child/generation-graph.ts'
const config = JSON.parse(await readFile('models/order-of-operations/config.json','utf8'))
let t=performance.now()
const model = decodeModel(await readFile('models/order-of-operations/onnx/model.onnx'))
const d = describeDecoder(model, config)
console.log('describe', performance.now()-t); t=performance.now()
const bytes = compileGeneration(model, d)
console.log('compile', performance.now()-t, bytes.length)
const layout={layers:d.layers,heads:d.keyValueHeads,headSize:d.headSize,type:d.dtype}
async function make(opts: {arena:boolean, spin:string, threads:number}) {
  const t=performance.now()
  const s = await InferenceSession.create(bytes, {executionProviders:['cpu'], intraOpNumThreads: opts.threads, enableCpuMemArena: opts.arena, extra:{session:{intra_op:{allow_spinning:opts.spin}}}} as any)
  const ms=performance.now()-t
  const session={ inputNames: s.inputNames, async run(feeds:any, fetches:any){
    const f:any={}; for(const [k,v] of Object.entries<any>(feeds)) f[k]=new Tensor(v.dtype,v.data,v.shape)
    const o=await s.run(f,fetches); return Object.fromEntries(fetches.map((n:string)=>[n,{dtype:o[n].type,shape:o[n].dims,data:o[n].data}])) } }
  return {ms, s, g: createGenerationGraph(session as any,{layout,padding:d.padding,hiddenSize:d.hiddenSize,eosTokenIds:[],padTokenId:0})}
}
async function gen(g:any, B:number, N:number, chunk:number, temp=0){
  let rows=Array.from({length:B},()=>({past:null as any,input:Array.from({length:17},(_,i)=>5+i),temperature:temp,remaining:N,uniforms:temp?new Float32Array(chunk).fill(.3):null}))
  let done=0
  while(done<N){ const steps=Math.min(chunk,N-done)
    const feeds=composeFeeds(layout,rows,steps); const out=await g.run(feeds,{hiddenStates:done===0,present:true})
    const o=splitFetches(rows,feeds,out,new Set())
    rows=rows.map((r,i)=>({...r,past:o[i].cached,input:o[i].tokens.slice(-1) as number[],remaining:r.remaining-o[i].tokens.length}))
    done+=steps }
}
const time=async(f:()=>Promise<void>,n=7)=>{ await f(); await f(); const v=[]; for(let i=0;i<n;i++){const t=performance.now(); await f(); v.push(performance.now()-t)} v.sort((a,b)=>a-b); return v }
for (const threads of [1,2]) for (const spin of ['0','1']) for (const arena of [false,true]) {
  const {g,ms,s}=await make({arena,spin,threads})
  const line=[`thr ${threads} spin ${spin} arena ${arena} load ${ms.toFixed(0)}`]
  for (const B of [1,16]) { const v=await time(()=>gen(g,B,40,32)); line.push(`B${B}: min ${v[0].toFixed(1)} med ${v[3].toFixed(1)}ms/40tok`) }
  line.push('rss '+(process.memoryUsage().rss/1e6).toFixed(0))
  console.log(line.join('  ')); await s.release()
}
const {g}=await make({arena:false,spin:'0',threads:1})
for (const B of [1,16]) for (const chunk of [1,4,8,16,32,64]) { const v=await time(()=>gen(g,B,64,chunk)); console.log(`B${B} chunk ${chunk}: min ${v[0].toFixed(1)} med ${v[3].toFixed(1)} ms/64tok`) }
for (const B of [1,16]) { const v=await time(()=>gen(g,B,40,32,1)); console.log(`sampled B${B}: ${v[0].toFixed(1)} ${v[3].toFixed(1)}`)}
for (const [B,S] of [[1,17],[16,17],[32,17],[32,16],[1,127]]) { const rows=Array.from({length:B},()=>({past:null,input:Array.from({length:S},(_,i)=>5+i%60),temperature:0,remaining:1,uniforms:null})); const v=await time(async()=>{const f=composeFeeds(layout,rows,1); await g.run(f,{hiddenStates:true,present:true})}); console.log('prefill',B,S,v[0].toFixed(2),v[3].toFixed(2)) }
